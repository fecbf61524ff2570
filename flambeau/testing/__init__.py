"""What tests need: `assert_close` and `make_tensor`."""

from flambeau.testing.comparison import assert_allclose as assert_allclose
from flambeau.testing.comparison import assert_close as assert_close
from flambeau.testing.creation import make_tensor as make_tensor
