// SPDX-License-Identifier: MIT
/// \file belay/call/call_text.hpp
/// to_string for the events of retries and pipelines: texts for logs.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/call/attempt.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/text.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the name of a verb, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Advice::Verb verb) noexcept {
    switch (verb) {
        case Advice::Verb::go:
            return "go";
        case Advice::Verb::wait_at_least:
            return "wait_at_least";
        case Advice::Verb::wait_exactly:
            return "wait_exactly";
        case Advice::Verb::suspend:
            return "suspend";
        case Advice::Verb::stop:
            return "stop";
    }
    return "unknown";
}

/// Returns an advice as pairs: "verb=suspend until=12.5s by=CircuitBreaker".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const Advice& advice) {
    detail::Fields fields;
    fields.add("verb", to_string(advice.verb));
    if (advice.verb != Advice::Verb::go) fields.add("until", to_string(advice.until));
    if (!advice.by.empty()) fields.add("by", advice.by);
    return fields.take();
}

/// Returns an attempt as pairs: "attempt=2 deadline=12.5s".   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const Attempt& attempt) {
    detail::Fields fields;
    fields.add("attempt", attempt.number);
    if (attempt.repeats) fields.add("repeats", true);
    return fields.add_if_ever("deadline", attempt.deadline).take();
}

namespace detail {

inline void add_attempt(Fields& fields, const Attempt& attempt) {
    fields.add("attempt", attempt.number);
    if (attempt.repeats) fields.add("repeats", true);
}
inline void add_wait(Fields& fields, Duration wait, const Advice& advice) {
    fields.add("wait", belay::to_string(wait));
    if (!advice.by.empty()) fields.add("by", advice.by);
}

}  // namespace detail

/// Returns an event as pairs: "attempt=1 failure=refused wait=1.5s by=Backoff".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const RetryPlanned& event) {
    detail::Fields fields;
    detail::add_attempt(fields, event.attempt);
    fields.add("failure", to_string(event.failure));
    detail::add_wait(fields, event.wait, event.advice);
    return fields.take();
}

/// Returns an event as pairs: "attempt=2 rejected=true wait=30s by=CircuitBreaker".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const CallRejected& event) {
    detail::Fields fields;
    detail::add_attempt(fields, event.attempt);
    fields.add("rejected", true);
    detail::add_wait(fields, event.wait, event.advice);
    return fields.take();
}

/// Returns an event as pairs: "attempts=3 failure=refused why=... by=MaxAttempts".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const RetryEnded& event) {
    detail::Fields fields;
    fields.add("attempts", event.attempts);
    if (event.failure.cause != Cause::none) fields.add("failure", to_string(event.failure));
    fields.add("why", to_string(event.why));
    if (!event.advice.by.empty()) fields.add("by", event.advice.by);
    return fields.take();
}

namespace detail {

template <>
inline constexpr bool has_text<Advice::Verb> = true;
template <>
inline constexpr bool has_text<Advice> = true;
template <>
inline constexpr bool has_text<Attempt> = true;
template <>
inline constexpr bool has_text<RetryPlanned> = true;
template <>
inline constexpr bool has_text<CallRejected> = true;
template <>
inline constexpr bool has_text<RetryEnded> = true;

}  // namespace detail

}}  // namespace belay
