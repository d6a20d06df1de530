"""Several peers on one question: what each is told, who decides, and what the answer is made of."""
