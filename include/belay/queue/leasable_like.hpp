// SPDX-License-Identifier: MIT
/// \file belay/queue/leasable_like.hpp
/// LeasableLike: a storage whose oldest value can be worked on before it is given up.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::is_void_v

#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S>
concept HasFront = requires(S& s) {
    static_cast<bool>(s.front());
    *s.front();
};
template <class Answer>
concept AckAnswer = std::is_void_v<Answer> || std::same_as<Answer, std::error_code>;
template <class S>
concept HasAck = requires(S& s) {
    { s.ack() } noexcept -> AckAnswer;
};
template <class S>
concept HasNack = requires(S& s) {
    { s.nack() } noexcept -> AckAnswer;
};

}  // namespace detail

/// A storage that lends its oldest value.
///
/// Semantics the compiler cannot check:
/// - `front()` lends the oldest value: a pointer, optional or result that is false when there is
///   none, or when reading it failed (then its `error()` says why). It stays valid while values are
///   pushed, until `front`, `try_pop`, `ack` or `nack`.
///   While it is lent, `front()` lends the same again.
/// - `ack()` ends the loan: the value took effect, and is gone.
/// - `nack()` ends the loan: the value did not take effect, and is the first again; in a storage of
///   several orders, as a Priority is, the first of its own.
/// - `try_pop()` takes what is lent, and ends the loan.
/// Pre of both: `front()` gave a value, and the loan has not ended.
template <class S>
concept LeasableLike =
    StorageLike<S> && detail::HasFront<S> && detail::HasAck<S> && detail::HasNack<S>;

namespace explain {

/// Names every requirement of LeasableLike that S lacks.
template <class S>
consteval bool leasable_like() {
    static_assert(storage_like<S>());
    static_assert(detail::HasFront<S>,
                  "LeasableLike: S needs 'front()', a pointer, optional or result");
    static_assert(detail::HasAck<S>,
                  "LeasableLike: S needs 'ack() noexcept', void or std::error_code");
    static_assert(detail::HasNack<S>,
                  "LeasableLike: S needs 'nack() noexcept', void or std::error_code");
    return LeasableLike<S>;
}

}  // namespace explain

}}  // namespace belay
