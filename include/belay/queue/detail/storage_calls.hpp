// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/storage_calls.hpp
/// Calls of storages by a Queue and by wrappers of storages: every form of result becomes one
/// error.
#pragma once

#include <concepts>     // std::same_as, std::convertible_to
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::is_void_v

#include <belay/queue/queue_errc.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class S, class V>
concept TakesPush = requires(S& s, V&& value) { s.try_push(static_cast<V&&>(value)); };
template <class S>
concept CountsBytes = requires(const S& s) {
    { s.bytes() } noexcept -> std::convertible_to<std::uint64_t>;
};
/// A storage whose bytes fall by whole files.
template <class S>
concept FreesSegments = CountsBytes<S> && requires(const S& s) {
    { s.segment_bytes() } noexcept -> std::same_as<std::size_t>;
};
template <class S>
concept HasStorageCommit = requires(S& s) {
    { s.commit() } noexcept -> std::same_as<std::error_code>;
};

/// Returns the error, if any, that the result of a storage or of an executor represents.
template <class Answer>
[[nodiscard]] std::error_code error_of(const Answer& answer, QueueErrc if_false) {
    if constexpr (std::same_as<Answer, bool>) {
        return answer ? std::error_code{} : make_error_code(if_false);
    } else if constexpr (std::convertible_to<const Answer&, std::error_code>) {
        return answer;
    } else {
        static_assert(
            requires {
                answer.has_value();
                answer.error();
            },
            "Queue::drain: the executor must return void, bool, std::error_code, or a type with "
            "has_value() and error()");
        return answer.has_value() ? std::error_code{} : std::error_code{answer.error()};
    }
}

/// Calls a function, and returns the error that its result represents; none for void.
template <class Call>
[[nodiscard]] std::error_code error_of_call(QueueErrc if_false, Call&& call) {
    if constexpr (std::is_void_v<decltype(call())>) {
        call();
        return {};
    } else {
        return error_of(call(), if_false);
    }
}

/// Returns why `front` returned nothing.
template <class Front>
[[nodiscard]] std::error_code why_nothing(const Front& front) noexcept {
    if constexpr (requires { std::error_code{front.error()}; }) {
        if (front.error()) return front.error();
    }
    return make_error_code(QueueErrc::queue_empty);
}

}}}  // namespace belay::detail
