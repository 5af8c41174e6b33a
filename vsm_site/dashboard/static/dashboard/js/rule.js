// The page of one rule.
import { startRule } from "./rule_form.js";

startRule();
