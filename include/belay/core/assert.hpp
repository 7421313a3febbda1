// SPDX-License-Identifier: MIT
/// \file belay/core/assert.hpp
/// BELAY_PRECONDITION and BELAY_INVARIANT: the caller's mistakes and our own, caught where they
/// happen.
///
/// Both are expressions of type void, usable in constant expressions, where a broken one does not
/// compile. They are on unless NDEBUG is defined; BELAY_ASSERTIONS=0 or 1 decides otherwise. The
/// mode and the major version are part of the inline namespace BELAY_ABI, so that translation units
/// of both modes may be linked into one program.
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

// Not constexpr, so that a broken condition in a constant expression is a compile error.
[[noreturn]] inline void assertion_failed(const char* kind, const char* what, const char* condition,
                                          const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: belay: %s violated: %s (%s)\n", file, line, kind, what, condition);
    std::abort();
}

}}}  // namespace belay::detail

#if BELAY_ASSERTIONS
#    define BELAY_DETAIL_CHECK(kind, cond, what) \
        ((cond) ? static_cast<void>(0)           \
                : ::belay::detail::assertion_failed(kind, what, #cond, __FILE__, __LINE__))
#else
// The operands still compile, so that the checks of a release build cannot rot.
#    define BELAY_DETAIL_CHECK(kind, cond, what) static_cast<void>(sizeof(!(cond)))
#endif

/// What the caller must ensure. `what` reads "Type::function: what must hold".
#define BELAY_PRECONDITION(cond, what) BELAY_DETAIL_CHECK("precondition", cond, what)
/// What belay itself must ensure; a failure is a defect in belay.
#define BELAY_INVARIANT(cond, what) BELAY_DETAIL_CHECK("invariant", cond, what)
