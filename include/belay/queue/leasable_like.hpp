// SPDX-License-Identifier: MIT
/// \file belay/queue/leasable_like.hpp
/// LeasableLike: a storage that leases its oldest value until the value is acknowledged.
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

/// A storage that leases its oldest value, so that you can remove it after the work is done.
///
/// Semantics the compiler cannot check:
/// - `front()` leases the oldest value. It returns a pointer, optional or result. This is false if
///   there is no value, or if reading it failed; its `error()` then gives the reason. The value
///   stays valid while values are pushed, until `front`, `try_pop`, `ack` or `nack`. While a value
///   is leased, `front()` returns the same value again.
/// - `ack()` ends the lease: the value took effect, and is removed. If it fails, a durable storage
///   that is opened again may have the value or not.
/// - `nack()` ends the lease: the value did not take effect, and is the first again. In a storage
///   of several orders, as a Priority is, it is the first of its own order.
/// - `try_pop()` takes the leased value, and ends the lease.
///
/// Pre of `ack` and `nack`: `front()` returned a value, and the lease has not ended.
template <class S>
concept LeasableLike =
    StorageLike<S> && detail::HasFront<S> && detail::HasAck<S> && detail::HasNack<S>;

namespace explain {

/// Names every requirement of LeasableLike that S lacks.
template <class S>
consteval bool leasable_like() {
    static_assert(storage_like<S>());
    static_assert(detail::HasFront<S>,
                  "LeasableLike: S needs 'front()', which returns a pointer, optional or result");
    static_assert(detail::HasAck<S>,
                  "LeasableLike: S needs 'ack() noexcept', which returns void or std::error_code");
    static_assert(detail::HasNack<S>,
                  "LeasableLike: S needs 'nack() noexcept', which returns void or std::error_code");
    return LeasableLike<S>;
}

}  // namespace explain

}}  // namespace belay
