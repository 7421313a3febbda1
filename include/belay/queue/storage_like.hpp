// SPDX-License-Identifier: MIT
/// \file belay/queue/storage_like.hpp
/// StorageLike: stores the values of a Queue, first in, first out. LeasableLike also leases its
/// oldest value until the value is acknowledged, and FlushableLike can make values durable.
/// KeepDead, and how values that cannot be used are put aside.
#pragma once

#include <concepts>      // std::movable, std::same_as, std::convertible_to
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_void_v

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/queue_errc.hpp>

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
                      "StorageLike: S needs 'try_push' of a value_type; see "
                      "docs/how-to/storage-of-a-queue.md");
        static_assert(detail::HasTryPop<S>,
                      "StorageLike: S needs 'try_pop'; see docs/how-to/storage-of-a-queue.md");
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

/// Selects that there is no storage for dead letters, so that they stay where they are.
///
/// In a WorkQueue they stay in its log, until they are revived or purged. In an Encoded they stay
/// the first value, until they are acknowledged.
struct KeepDead {};

namespace detail {

template <class D, class Answer>
concept AcceptsDeadLetters = requires(D& d, Bytes&& letter) {
    { d.try_push(static_cast<Bytes&&>(letter)) } -> std::same_as<Answer>;
};
// With another result type, it would be unclear whether true means taken or rejected.
template <class D>
concept DeadLetterStorage = std::same_as<D, KeepDead> || AcceptsDeadLetters<D, bool> ||
                            AcceptsDeadLetters<D, std::error_code>;

/// Returns whether a storage for dead letters has taken this one.
template <DeadLetterStorage DeadLetters>
[[nodiscard]] bool push_dead_letter(DeadLetters& letters, BytesView body) {
    if constexpr (std::same_as<DeadLetters, KeepDead>) {
        return false;
    } else if constexpr (AcceptsDeadLetters<DeadLetters, bool>) {
        return letters.try_push(to_bytes(body));
    } else {
        return !letters.try_push(to_bytes(body));
    }
}

/// Returns whether the storage for dead letters is durable now, if it can be.
template <DeadLetterStorage DeadLetters>
[[nodiscard]] bool flush_dead_letters(DeadLetters& letters) {
    // A journal's `commit` is not enough in Flush::none.
    if constexpr (requires {
                      { letters.flush() } -> std::same_as<std::error_code>;
                  }) {
        return !letters.flush();
    } else if constexpr (requires {
                             { letters.commit() } -> std::same_as<std::error_code>;
                         }) {
        return !letters.commit();
    } else {
        return true;
    }
}

}  // namespace detail

}}  // namespace belay

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
