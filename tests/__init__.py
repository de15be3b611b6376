"""The tests. TensorFlow reads these variables when it is imported: quiet, and on the CPU.

Which file asks what: test_<module> what one module of the package promises (fast and careful are
kernels), with numbers that can be done by hand; test_properties what theory says of every loss, on
inputs from Hypothesis; test_accuracy how many digits are right, by mpmath (truth), on the
hard_cases, within the bounds that docstrings state; test_options the same of every loss with every
option, on inputs from Hypothesis; test_agreement what the peers say; test_tables
that these tables leave no loss out; test_validation what is refused, and how; the others the book.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
