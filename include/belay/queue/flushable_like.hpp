// SPDX-License-Identifier: MIT
/// \file belay/queue/flushable_like.hpp
/// FlushableLike: a log that may hold values that are not durable yet, and can make them durable.
#pragma once

#include <concepts>      // std::same_as
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class L>
concept HasFlush = requires(L& log) {
    { log.flush() } noexcept -> std::same_as<std::error_code>;
};
template <class L>
concept HasUnflushed = requires(const L& log) {
    { log.unflushed() } noexcept -> std::same_as<bool>;
};

}  // namespace detail

/// A log that can make its contents durable, and can report whether they are.
///
/// Semantics the compiler cannot check:
/// - `flush()` makes everything durable that was taken before it. If it returns no error,
///   `unflushed()` is false, unless something was taken meanwhile. After an error, it may be called
///   again.
/// - `unflushed()` returns whether there is something that a `flush()` would have to make durable.
template <class L>
concept FlushableLike = detail::HasFlush<L> && detail::HasUnflushed<L>;

namespace explain {

/// Names every requirement of FlushableLike that L lacks.
template <class L>
consteval bool flushable_like() {
    static_assert(detail::HasFlush<L>,
                  "FlushableLike: L needs 'flush() noexcept -> std::error_code'");
    static_assert(detail::HasUnflushed<L>,
                  "FlushableLike: L needs 'unflushed() const noexcept -> bool'");
    return FlushableLike<L>;
}

}  // namespace explain

}}  // namespace belay
