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

// In Catch2, a check contains its expression three times. Each lambda in it is then three types,
// with all that is instantiated for them: a fifth of the time of compiling some tests. Catch2 needs
// two of the three for warnings, which GCC still gives.
#if defined(__clang__)
#    undef INTERNAL_CATCH_TEST
#    define INTERNAL_CATCH_TEST(macroName, resultDisposition, ...)                    \
        do {                                                                          \
            Catch::AssertionHandler catchAssertionHandler(                            \
                macroName##_catch_sr, CATCH_INTERNAL_LINEINFO,                        \
                CATCH_INTERNAL_STRINGIFY(__VA_ARGS__), resultDisposition);            \
            INTERNAL_CATCH_TRY {                                                      \
                CATCH_INTERNAL_START_WARNINGS_SUPPRESSION                             \
                CATCH_INTERNAL_SUPPRESS_PARENTHESES_WARNINGS                          \
                catchAssertionHandler.handleExpr(Catch::Decomposer() <= __VA_ARGS__); \
                CATCH_INTERNAL_STOP_WARNINGS_SUPPRESSION                              \
            }                                                                         \
            INTERNAL_CATCH_CATCH(catchAssertionHandler)                               \
            INTERNAL_CATCH_REACT(catchAssertionHandler)                               \
        } while (false)
#endif
