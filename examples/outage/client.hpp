// SPDX-License-Identifier: MIT
/// \file outage/client.hpp
/// The client: delivers the lines of a file through a Session.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <utility>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/link_log.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/journal.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/tcp.hpp>
#include <belay/session/session.hpp>

#include "feed.hpp"
#include "files.hpp"
#include "rejection.hpp"
#include "report.hpp"
#include "sender_id.hpp"
#include "signals.hpp"

namespace outage {

/// When to try again: soon at first, then up to a second apart, for ever. A frozen server still
/// takes connections, and must answer within a second.
[[nodiscard]] inline auto demo_policy() {
    using namespace std::chrono_literals;
    return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{1s}, 50ms},
                         belay::ResetWhenStable{1s}, belay::AttemptTimeout{1s}};
}

/// The client of one run.
class Client {
public:
    /// Throws: Rejection.
    explicit Client(const ClientOptions& options)
        : Client{options, sender_id(options.dir), open_journal(options.dir)} {}

    /// Runs until everything is acknowledged, until a signal, or until the demo is gone.
    int run() {
        if (!finish_if_done()) {
            session_.start();
            loop_.run();
        }
        // The lines that were read are durable. Acknowledged ones need not be sent again.
        const std::error_code error = session_.commit();
        session_.stop();
        if (error && exit_ == exit_ok) journal_failed(error);
        return exit_;
    }

private:
    using Transport = belay::Heartbeat<belay::posix::Tcp<>>;
    using Queue = belay::Queue<belay::posix::Journal>;

    struct Observer {
        Client* me;
        void on_state(const belay::Transition& t) { me->on_state(t); }
        void on_accepted(std::uint64_t) { me->report_queue(); }
        void on_acknowledged(std::uint64_t) { me->on_acknowledged(); }
        void on_blocked(belay::Blocked why, const belay::BlockedDetails& f) {
            me->on_blocked(why, f);
        }
    };
    struct Print {
        void operator()(std::string_view line) const {
            std::cout << "outage " << line << std::endl;
        }
    };
    struct Stop {
        Client* me;
        void operator()(int = 0) { me->end(exit_interrupted); }
    };
    struct Command {
        Client* me;
        void operator()(std::string_view line) { me->on_command(line); }
    };
    using Session = belay::Session<Transport, decltype(demo_policy()), Queue, Observer>;

    static belay::posix::Journal open_journal(const std::string& directory) {
        const std::string path = directory + "/journal";
        make_directories(path);
        auto journal = belay::posix::Journal::open(path, {.segment_bytes = std::size_t{4} << 20U});
        if (!journal) throw Rejection{journal.error().message()};
        const belay::JournalReport& report = journal->report();
        if (report.truncated_bytes != 0) {
            std::cerr << "outage client: " << report.truncated_path
                      << " ended in an unfinished write: cut " << report.truncated_bytes
                      << " bytes that were not confirmed" << std::endl;
        }
        return std::move(*journal);
    }
    static Transport transport(belay::posix::Loop<>& loop, const ClientOptions& options) {
        using namespace std::chrono_literals;
        return Transport{belay::posix::Tcp{loop, options.connect},
                         {.every = 300ms, .dead_after = 1s}};
    }

    Client(const ClientOptions& options, const belay::Id& sender, belay::posix::Journal journal)
        : lines_{options.file},
          report_{options.control.report},
          log_{Print{}, belay::LogLevel::quiet, "client"},
          session_{transport(loop_, options), demo_policy(), Queue{std::move(journal)},
                   belay::SessionOptions{.id = sender}, Observer{this}},
          // Under control it waits until it is allowed to read further.
          feed_{session_, lines_, options.rate,
                report_.on() ? 0 : std::numeric_limits<std::uint64_t>::max()},
          signals_{loop_, {SIGTERM, SIGINT}, Stop{this}},
          commands_{loop_, options.control.command, Command{this}, Stop{this}} {
        const std::uint64_t taken = session_.status().taken;
        if (taken > lines_.count()) {
            throw Rejection{options.dir + "/journal holds " + std::to_string(taken) +
                            " lines, but " + options.file + " has only " +
                            std::to_string(lines_.count()) +
                            "; use the --file of the earlier run in this --dir, or another --dir"};
        }
        loop_.attach(session_);
        loop_.attach(feed_);
        report_queue();
        if (!report_.on()) {
            Print{}("client: " + std::to_string(session_.status().acknowledged) + " of " +
                    std::to_string(lines_.count()) + " lines delivered, " +
                    std::to_string(session_.depth()) + " wait in the journal");
        }
    }

    void on_state(const belay::Transition& t) {
        const belay::LinkStatus& s = t.to;
        if (report_.on()) {
            const bool waits = s.retry_at != belay::never;
            report_.line("state " + to_words(s.since) + " " + std::string{to_string(s.state)} +
                         " " + (waits ? to_words(s.retry_at) : "0") + " " +
                         std::to_string(s.attempt) + " " + s.failure.message());
        } else {
            log_.on_state(t);
        }
        const bool hopeless =
            s.state == belay::LinkState::failed || s.state == belay::LinkState::blocked_auth;
        if (!hopeless || exit_ != exit_ok) return;
        std::cerr << "outage client: cannot deliver: " << s.failure.message()
                  << (s.failure.error() == belay::SessionErrc::forbidden
                          ? "; the server's ledger belongs to another client: use another --dir "
                            "for the server"
                          : "")
                  << std::endl;
        end(exit_wrong);
    }

    void on_acknowledged() {
        report_queue();
        feed_.go_on();
        finish_if_done();
    }
    bool finish_if_done() {
        if (session_.status().acknowledged != lines_.count()) return false;
        if (!report_.on()) {
            Print{}("client: all " + std::to_string(lines_.count()) + " lines are delivered");
        }
        end(exit_ok);
        return true;
    }

    void on_blocked(belay::Blocked why, const belay::BlockedDetails& f) {
        std::cerr << "outage client: stopped, and sends nothing more: " << to_string(why)
                  << " (acknowledged " << f.acked << ", last in the journal " << f.last
                  << ", the server has " << f.applied << "); " << advice(why) << std::endl;
        end(exit_wrong);
    }
    static const char* advice(belay::Blocked why) {
        switch (why) {
            case belay::Blocked::receiver_lost_state:
            case belay::Blocked::receiver_rolled_back:
                return "restore the server's ledger, or start again with other directories";
            case belay::Blocked::journal_failed:
                return "check the disk of --dir and run the client again; delivered lines stay "
                       "delivered";
            case belay::Blocked::fenced:
                return "another client with this sender id has taken over; end one of them";
            default:
                return "the journal and the ledger do not match; start again with other "
                       "directories";
        }
    }

    void on_command(std::string_view line) {
        constexpr std::string_view upto = "upto ";
        std::uint64_t number = 0;
        if (line.substr(0, upto.size()) != upto) return;
        std::from_chars(line.data() + upto.size(), line.data() + line.size(), number);
        feed_.set_upto(number);
    }
    void report_queue() {
        if (!report_.on()) return;
        const belay::SessionStatus s = session_.status();
        report_.line("queue " + to_words(loop_.now()) + " " + std::to_string(s.taken) + " " +
                     std::to_string(s.acknowledged));
    }
    void journal_failed(const std::error_code& error) {
        std::cerr << "outage client: the journal failed: " << error.message() << std::endl;
        exit_ = exit_rejected;
    }
    void end(int code) {
        exit_ = code;
        loop_.stop();
    }

    const Lines lines_;
    belay::posix::Loop<> loop_;
    Reporter report_;
    int exit_ = exit_ok;
    belay::LinkLog<Print> log_;
    Session session_;
    Feed<Session> feed_;
    Signals<Stop> signals_;
    LineReader<Command, Stop> commands_;
};

}  // namespace outage
