// SPDX-License-Identifier: MIT
/// \file belay/core/assert.hpp
/// BELAY_OPTION, BELAY_PRECONDITION and BELAY_INVARIANT: checks that report a mistake where it
/// happens.
///
/// They are expressions of type void. You can use them in constant expressions, where a violated
/// check does not compile. BELAY_OPTION is on in every build. The others are on unless NDEBUG is
/// defined. Define BELAY_ASSERTIONS as 0 or 1 to override this. The mode and the major version are
/// part of the inline namespace BELAY_ABI, so one program may contain translation units of both
/// modes.
#pragma once

#include <cstdio>   // std::fprintf
#include <cstdlib>  // std::abort

#include <belay/version.hpp>

#if !defined(BELAY_ASSERTIONS)
#    if defined(NDEBUG)
#        define BELAY_ASSERTIONS 0
#    else
#        define BELAY_ASSERTIONS 1
#    endif
#endif

#if BELAY_ASSERTIONS
#    define BELAY_ABI v0_checked
#else
#    define BELAY_ABI v0
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

// This function is not constexpr, so that a violated condition in a constant expression is a
// compile error.
[[noreturn]] inline void assertion_failed(const char* kind, const char* what, const char* condition,
                                          const char* file = __builtin_FILE(),
                                          int line = __builtin_LINE()) noexcept {
    std::fprintf(stderr, "%s:%d: belay: %s violated: %s (%s)\n", file, line, kind, what, condition);
    std::abort();
}

/// Prints `what` to stderr. Call it only if BELAY_ASSERTIONS is not 0.
inline void report_misuse(const char* what) noexcept {
    std::fprintf(stderr, "belay: misuse: %s\n", what);
}

}}}  // namespace belay::detail

#define BELAY_DETAIL_EXPECT(kind, cond, what) \
    ((cond) ? void() : ::belay::detail::assertion_failed(kind, what, #cond))
#if BELAY_ASSERTIONS
#    define BELAY_DETAIL_CHECK(kind, cond, what) BELAY_DETAIL_EXPECT(kind, cond, what)
#else
// The operands still have to compile, so that the checks of a release build stay valid code.
#    define BELAY_DETAIL_CHECK(kind, cond, what) static_cast<void>(sizeof(!(cond)))
#endif

/// Checks an option, or another value that a program sets up once and then relies on. Such values
/// come from files, and a release build must not lose data because of one. Values that are made for
/// each call, such as a Timeout, have preconditions.
#define BELAY_OPTION(cond, what) BELAY_DETAIL_EXPECT("precondition", cond, what)
/// Checks what the caller must ensure. `what` has the form "Type::function: what must hold".
#define BELAY_PRECONDITION(cond, what) BELAY_DETAIL_CHECK("precondition", cond, what)
/// Checks what belay itself must ensure. A failure is a defect in belay.
#define BELAY_INVARIANT(cond, what) BELAY_DETAIL_CHECK("invariant", cond, what)
