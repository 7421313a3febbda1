// SPDX-License-Identifier: MIT
/// \file belay/call/retry_log.hpp
/// RetryLog: an observer of `retry` and Pipeline that writes lines for people.
#pragma once

#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/call/retry_observer.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Writes a line for each attempt that failed or may not start.
///
/// The line has the attempt's number, the wait, the cause and the rule, as LinkLog writes for
/// links: `RetryLog{[](std::string_view line) {...}}`. It also has the text of an exception by
/// which the attempt failed. Each control character in a line, such as a line break, is written as
/// a space. A call that succeeds at once writes no line.
/// You can use one log for many calls, by `std::ref`, or one log with its own name for each kind of
/// call.
///
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

template <class Sink>
RetryLog(Sink) -> RetryLog<Sink>;
template <class Sink>
RetryLog(Sink, std::string) -> RetryLog<Sink>;

}}  // namespace belay
