// A refusal that a person can read: what is wrong, and how to mend it.

export class Refusal extends Error {
  constructor(what, fix = "") {
    super(what);
    this.name = "Refusal";
    this.fix = fix;
  }
}
