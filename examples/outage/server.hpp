// SPDX-License-Identifier: MIT
/// \file outage/server.hpp
/// The ledger server: receives operations, and appends them to its ledger.
#pragma once

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include <belay/link/heartbeat.hpp>
#include <belay/posix/listener.hpp>
#include <belay/session/receiver.hpp>

#include "ledger.hpp"
#include "options.hpp"
#include "rejection.hpp"
#include "report.hpp"
#include "signals.hpp"

namespace outage {

/// Lets one sender in: the one whose operations are in the ledger already, or the first that comes.
struct OneSender {
    const belay::Id* owner;

    [[nodiscard]] std::error_code operator()(const belay::Id& sender, belay::BytesView) const {
        if (*owner == belay::no_id || *owner == sender) return {};
        return belay::SessionErrc::forbidden;
    }
};

/// The server of one run, over a ledger that may be a FileLedger with a planted bug.
template <class Ledger>
class Server {
public:
    /// Throws: Rejection.
    explicit Server(const ServerOptions& options) : Server{options, Ledger::open(options.dir)} {}

    /// Runs until a signal, or until the demo that started it is gone.
    int run() {
        loop_.run();
        listener_.close();
        receiver_.stop();
        loop_.run_until([&] { return receiver_.connections() == 0; }, std::chrono::seconds{2});
        return exit_;
    }

private:
    using Transport = belay::Heartbeat<belay::posix::Accepted<>>;

    struct Observer {
        Server* me;
        void on_attached(const belay::Id& sender, const belay::Progress& p) {
            me->say("serves sender " + to_hex(sender).substr(0, 8) + " from line " +
                    std::to_string(p.applied + 1));
            me->report_delivered(p.applied);
        }
        void on_committed(const belay::Id&, const belay::Progress& p) {
            me->report_delivered(p.applied);
        }
        void on_rejected(belay::SessionErrc why, const belay::Id& sender) {
            me->rejected(why, sender);
        }
        void on_journal_replaced(const belay::Id&, const belay::Progress& old) {
            me->say("the client has a new journal; the ledger has " + std::to_string(old.applied) +
                    " lines of the old one");
        }
        void on_ledger_failed(std::error_code error) { me->ledger_failed(error); }
    };
    using Receiver = belay::Receiver<Transport, Ledger, OneSender, Observer>;

    struct Accept {
        Server* me;
        void operator()(belay::posix::Accepted<> connection) {
            // A client may be busy with its disk for a while: it is not given up as soon as it
            // gives us up.
            me->receiver_.accept(Transport{
                std::move(connection),
                {.every = std::chrono::seconds{1}, .dead_after = std::chrono::seconds{3}}});
        }
    };
    struct Stop {
        Server* me;
        void operator()(int = 0) { me->loop_.stop(); }
    };

    static belay::ReceiverOptions receiver_options() {
        belay::ReceiverOptions o;
        o.limits.payload_bytes_max = line_bytes_max_;
        return o;
    }
    // A client's batch, and the longest line that may come on top of it.
    static belay::LengthPrefixed framing() { return {.bytes_max = 4 * line_bytes_max_}; }

    Server(const ServerOptions& options, Ledger ledger)
        : report_{options.control.report},
          ledger_path_{ledger.path()},
          owner_{&ledger.owner()},
          receiver_{std::move(ledger), OneSender{owner_}, receiver_options(), Observer{this}},
          listener_{loop_, Accept{this}, framing()},
          signals_{loop_, {SIGTERM, SIGINT}, Stop{this}},
          commands_{loop_, options.control.command, [](std::string_view) {}, Stop{this}} {
        loop_.attach(receiver_);
        if (const std::size_t cut = receiver_.ledger().cut_bytes()) {
            std::cerr << "outage server: " << ledger_path_ << " ended in the middle of a line: cut "
                      << cut << " bytes that were not acknowledged" << std::endl;
        }
        if (const std::error_code error = listener_.listen(options.listen)) {
            const std::string where = options.listen.to_string();
            if (error == std::errc::address_in_use) {
                throw Rejection{
                    "cannot listen on " + where +
                    ": another program listens there; end it, or choose another --port"};
            }
            throw Rejection{"cannot listen on " + where + ": " + error.message() +
                            "; choose another --port or --host"};
        }
        report_.line("listening " + std::to_string(listener_.port()));
        report_delivered(receiver_.ledger().delivered());
        say("listens on " +
            belay::posix::Endpoint{options.listen.host, listener_.port()}.to_string() + ", " +
            std::to_string(receiver_.ledger().delivered()) + " lines in " + ledger_path_);
    }

    /// Prints for people if it was started alone. Otherwise the demo prints.
    void say(const std::string& text) {
        if (!report_.on()) std::cout << "outage server: " << text << std::endl;
    }
    void report_delivered(std::uint64_t number) {
        report_.line("delivered " + std::to_string(number));
    }
    void rejected(belay::SessionErrc why, const belay::Id& sender) {
        // The rest is the ordinary life of connections that end.
        if (why == belay::SessionErrc::forbidden) {
            std::cerr << "outage server: rejected sender " << to_hex(sender).substr(0, 8) << ": "
                      << ledger_path_ << " belongs to sender " << to_hex(*owner_).substr(0, 8)
                      << "; each sender needs a server with a --dir of its own" << std::endl;
        } else {
            say("closed a connection: " + make_error_code(why).message());
        }
    }
    void ledger_failed(const std::error_code& error) {
        std::cerr << "outage server: " << trouble("write", ledger_path_, error) << std::endl;
        exit_ = exit_rejected;
        loop_.stop();
    }

    static constexpr std::uint32_t line_bytes_max_ = 64 * 1024;

    belay::posix::Loop<> loop_;
    Reporter report_;
    int exit_ = exit_ok;
    std::string ledger_path_;
    const belay::Id* owner_;
    Receiver receiver_;
    belay::posix::Listener<Accept> listener_;
    Signals<Stop> signals_;
    LineReader<void (*)(std::string_view), Stop> commands_;
};

}  // namespace outage
