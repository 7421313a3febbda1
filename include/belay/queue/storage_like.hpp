// SPDX-License-Identifier: MIT
/// \file belay/queue/storage_like.hpp
/// StorageLike: stores the values of a Queue, first in, first out.
#pragma once

#include <concepts>      // std::same_as, std::movable
#include <cstddef>       // std::size_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::declval

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/is_result.hpp>
#include <belay/core/no_limit.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S>
concept HasValueType = requires { typename S::value_type; };
template <class S>
concept HasTryPush = HasValueType<S> && requires(S& s, typename S::value_type&& value) {
    s.try_push(static_cast<typename S::value_type&&>(value));
};
template <class R>
concept BoolOrError = std::same_as<R, bool> || std::same_as<R, std::error_code>;
template <class S>
concept TryPushAnswers = HasTryPush<S> && requires(S& s, typename S::value_type&& value) {
    { s.try_push(static_cast<typename S::value_type&&>(value)) } -> BoolOrError;
};
template <class S>
concept PushesValuesNoexcept = requires(S& s, typename S::value_type&& value) {
    { s.try_push(static_cast<typename S::value_type&&>(value)) } noexcept;
};
template <class S>
concept PushesViewsNoexcept =
    std::same_as<typename S::value_type, Bytes> && requires(S& s, BytesView value) {
        { s.try_push(value) } noexcept;
    };
// The conversion of Bytes to a BytesView never throws, but only some standard libraries declare it
// noexcept. So a `try_push(BytesView)` counts without the conversion.
template <class S>
concept TryPushIsNoexcept = PushesValuesNoexcept<S> || PushesViewsNoexcept<S>;
template <class S>
concept HasTryPop = requires(S& s) { s.try_pop(); };
template <class S>
concept TryPopGivesOptional = HasValueType<S> && requires(S& s) {
    { s.try_pop() } -> std::same_as<std::optional<typename S::value_type>>;
};
template <class S>
concept HasSizeAndCapacity = requires(const S& s) {
    { s.size() } noexcept -> std::same_as<std::size_t>;
    { s.capacity() } noexcept -> std::same_as<std::size_t>;
};

}  // namespace detail

/// A first-in, first-out container of `value_type` with a limit.
///
/// Semantics the compiler cannot check:
/// - `try_push(value&&)` returns `true`, or an empty error code, if the value was taken. Any other
///   result leaves the value and the storage unchanged; `false` means that the storage is full.
/// - `try_pop()` takes the oldest value; nothing if there is none.
/// - A durable storage that is opened again has the values that were taken, in their order and
///   once. With `commit` or `flush`, these are the values that it has confirmed. A call to its
///   medium that failed does not change that. The value of a push that failed may be there, too.
/// - `size() <= capacity()`. `capacity()` is `no_limit` if only memory or the disk is the limit.
template <class S>
concept StorageLike =
    std::movable<S> && detail::HasValueType<S> && detail::HasTryPush<S> &&
    detail::TryPushAnswers<S> && detail::TryPushIsNoexcept<S> && detail::HasTryPop<S> &&
    detail::TryPopGivesOptional<S> && detail::HasSizeAndCapacity<S>;

namespace explain {

/// Names every requirement of StorageLike that S lacks.
template <class S>
consteval bool storage_like() {
    static_assert(!detail::IsResult<S>,
                  "StorageLike: S is a Result; test it, and pass its value: std::move(*result)");
    static_assert(std::movable<S>, "StorageLike: S must be movable");
    static_assert(detail::HasValueType<S>, "StorageLike: S needs a type 'value_type'");
    if constexpr (detail::HasValueType<S>) {
        static_assert(detail::HasTryPush<S>,
                      "StorageLike: S needs 'try_push' of a value_type; see docs/queue.md");
        static_assert(detail::HasTryPop<S>, "StorageLike: S needs 'try_pop'; see docs/queue.md");
        if constexpr (detail::HasTryPush<S>) {
            static_assert(detail::TryPushAnswers<S>,
                          "StorageLike: S::try_push must return bool or std::error_code");
            static_assert(detail::TryPushIsNoexcept<S>,
                          "StorageLike: S::try_push must be noexcept");
        }
        if constexpr (detail::HasTryPop<S>) {
            static_assert(detail::TryPopGivesOptional<S>,
                          "StorageLike: S::try_pop must return std::optional of its value_type");
        }
    }
    static_assert(detail::HasSizeAndCapacity<S>,
                  "StorageLike: S needs 'size()' and 'capacity()', both 'const noexcept -> "
                  "std::size_t'");
    return StorageLike<S>;
}

}  // namespace explain

}}  // namespace belay
