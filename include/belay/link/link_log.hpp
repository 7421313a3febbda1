// SPDX-License-Identifier: MIT
/// \file belay/link/link_log.hpp
/// LinkLog: an observer that writes lines for people; quiet by default.
#pragma once

#include <string>   // std::string, std::to_string
#include <utility>  // std::move

#include <belay/core/failure.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How much a LinkLog writes.
enum class LogLevel : std::uint8_t {
    quiet,  ///< one line when an outage begins and one when it ends; errors that end the retries
    retry   ///< also each attempt with its number, and each wait with its length, cause and rule
};

/// An observer that writes lines about a connection, for people to read.
///
/// It works with any sink: `LinkLog{[](std::string_view line) {...}}`.
///
/// Models:        an observer of Supervisor.
/// Thread safety: home thread.   Allocates: one string per line; nothing if no line is written.
template <class Sink>
class LinkLog {
    static_assert(
        requires(Sink& sink, std::string_view line) { sink(line); },
        "LinkLog: the sink must be callable with a std::string_view");

public:
    explicit LinkLog(Sink sink, LogLevel level = LogLevel::quiet, std::string name = "link")
        : sink_{std::move(sink)}, name_{std::move(name)}, level_{level} {}

    void on_state(const Transition& change) {
        const LinkStatus& s = change.to;
        switch (s.state) {
            case LinkState::connected:
                return connected(s);
            case LinkState::connecting:
                if (level_ == LogLevel::retry) line("attempt " + std::to_string(s.attempt));
                return;
            case LinkState::cooldown:
            case LinkState::suspended:
                return waiting(change);
            case LinkState::blocked_auth:
                begin_outage(s);
                return line("needs new credentials (" + reason(s) + ")");
            case LinkState::failed:
                begin_outage(s);
                return line("gave up after attempt " + std::to_string(s.attempt) + " (" +
                            reason(s) + by(s) + ")");
            case LinkState::offline:
                if (level_ == LogLevel::retry) line("offline: a gate is shut");
                return;
            case LinkState::draining:
                if (level_ == LogLevel::retry) line("draining: accepts no more messages");
                return;
            case LinkState::stopped:
                if (change.from == LinkState::draining && s.failure.cause != Cause::none)
                    line("stopped before all messages were sent (" + s.failure.message() + ")");
                up_ = ever_up_ = reported_down_ = false;
                return;
        }
    }

private:
    void connected(const LinkStatus& s) {
        if (reported_down_) {
            line("connected again after " + detail::duration_text(elapsed(down_since_, s.since)));
        } else if (!ever_up_ || level_ == LogLevel::retry) {
            line("connected");
        }
        up_ = ever_up_ = true;
        reported_down_ = false;
    }

    void waiting(const Transition& change) {
        const LinkStatus& s = change.to;
        const bool failed =
            change.from == LinkState::connected || change.from == LinkState::connecting;
        if (failed && !reported_down_ && !s.withdrawn && s.failure.cause != Cause::planned) {
            line((up_ ? "lost (" : "cannot connect (") + s.failure.message() + ")");
            begin_outage(s);
        }
        up_ = false;
        if (level_ == LogLevel::retry) {
            line("attempt " + std::to_string(s.attempt + 1) + " in " +
                 detail::duration_text(elapsed(s.since, s.retry_at)) + " (" + reason(s) + by(s) +
                 ")");
        }
    }

    void begin_outage(const LinkStatus& s) noexcept {
        if (!reported_down_) down_since_ = s.down_since;
        reported_down_ = true;
    }

    static std::string reason(const LinkStatus& s) {
        return s.withdrawn && s.failure.cause == Cause::none ? "ended by this side"
                                                             : s.failure.message();
    }
    static std::string by(const LinkStatus& s) {
        return s.decided_by.empty() ? std::string{} : ", " + std::string{s.decided_by};
    }
    void line(const std::string& what) { sink_(std::string_view{name_ + ": " + what}); }

    Sink sink_;
    std::string name_;
    LogLevel level_;
    bool up_ = false;
    bool ever_up_ = false;
    bool reported_down_ = false;
    Instant down_since_ = never;
};

}}  // namespace belay
