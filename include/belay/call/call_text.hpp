// SPDX-License-Identifier: MIT
/// \file belay/call/call_text.hpp
/// to_string for the events of retries and pipelines: texts for logs. RetryLog: an observer that
/// writes lines for people.
#pragma once

#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/call/attempt.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/text.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the name of a verb, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Advice::Verb verb) noexcept {
    constexpr std::string_view names[] = {"go", "wait_at_least", "wait_exactly", "suspend", "stop"};
    return detail::name_of(verb, names);
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

/// Returns an attempt as pairs: "attempt=2 deadline=12.5s".   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const Attempt& attempt) {
    detail::Fields fields;
    detail::add_attempt(fields, attempt);
    return fields.add_if_ever("deadline", attempt.deadline).take();
}

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

/// Writes a line for each attempt that failed or may not start.
///
/// The line has the attempt's number, the wait, the cause and the rule, as LinkLog writes for
/// links: `RetryLog{[](std::string_view line) {...}}`. It also has the text of an exception by
/// which the attempt failed. Each control character in a line, such as a line break, is written as
/// a space. A call that succeeds at once writes no line.
/// You can use one log for many calls, by `std::ref`, or one log with its own name for each kind of
/// call.
///
/// Models:        an observer of retry, and of Pipeline.
/// Thread safety: that of its sink.   Allocates: one string per line; none if no line is written.
/// Throws:        std::bad_alloc, and what the sink throws.
template <class Sink>
class RetryLog {
    static_assert(
        requires(Sink& sink, std::string_view line) { sink(line); },
        "RetryLog: the sink must be callable with a std::string_view");

public:
    explicit RetryLog(Sink sink, std::string name = "call")
        : sink_{std::move(sink)}, name_{std::move(name)} {}

    void on_retry(const RetryPlanned& retry) {
        line(number(retry.attempt) + " failed (" + retry.message() + "); the next one in " +
             detail::duration_text(retry.wait) + in_brackets(retry.advice));
    }
    void on_rejection(const CallRejected& rejection) {
        // Without an end there is no wait to report.
        const std::string wait =
            rejection.advice.until == never ? "" : " for " + detail::duration_text(rejection.wait);
        line(number(rejection.attempt) + " may not start" + wait + in_brackets(rejection.advice));
    }
    void on_hedge(const Attempt& attempt) {
        line(number(attempt) + " starts while another one is unanswered");
    }
    void on_success(const Attempt& attempt) {
        if (attempt.number > 1) line(number(attempt) + " succeeded");
    }
    void on_give_up(const RetryEnded& ended) {
        const std::string last =
            ended.failure.cause == Cause::none ? "" : "; last: " + ended.message();
        const std::string rule = ended.advice.by.empty() ? "" : ", " + std::string{ended.advice.by};
        line("gave up after " + std::to_string(ended.attempts) + " attempts (" +
             ended.why.message() + rule + last + ")");
    }

private:
    static std::string number(const Attempt& attempt) {
        return "attempt " + std::to_string(attempt.number);
    }
    static std::string in_brackets(const Advice& advice) {
        return advice.by.empty() ? std::string{} : " (" + std::string{advice.by} + ")";
    }
    void line(const std::string& what) {
        std::string text = name_ + ": " + what;
        // The text of an exception may come from another program, such as a database.
        for (char& c : text) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
        }
        sink_(std::string_view{text});
    }

    Sink sink_;
    std::string name_;
};

}}  // namespace belay
