// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <boost/beast/version.hpp>
#include <boost/version.hpp>

int main() { return BOOST_VERSION >= 107400 && BOOST_BEAST_VERSION > 0 ? 0 : 1; }
