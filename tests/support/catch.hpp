// SPDX-License-Identifier: MIT
/// \file tests/support/catch.hpp
/// Catch2, version 3 or 2, and RapidCheck.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#    include <catch2/catch_all.hpp>
#else
#    include <catch2/catch.hpp>
#endif

#include <rapidcheck.h>
