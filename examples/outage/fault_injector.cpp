// SPDX-License-Identifier: MIT
#include "fault_injector.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <utility>

#include <sys/wait.h>

#include "rejection.hpp"

namespace outage {

using belay::after;
using belay::Duration;
using belay::elapsed;
using belay::Instant;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// The first word, which is taken off the front.
std::string_view word(std::string_view& text) {
    const std::string_view first = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), first.size() + 1));
    return first;
}

std::uint64_t number(std::string_view text) {
    std::uint64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

Instant moment(std::string_view text) {
    return Instant{Duration{static_cast<Duration::rep>(number(text))}};
}

std::string ending(int status) {
    if (WIFSIGNALED(status)) return "by signal " + std::to_string(WTERMSIG(status));
    return "with exit code " + std::to_string(WEXITSTATUS(status));
}

/// The parts have this long to end in good order.
constexpr Duration ending_max = seconds{3};

}  // namespace

FaultInjector::FaultInjector(belay::posix::Loop<>& loop, Screen& screen,
                             FaultInjectorOptions options)
    : loop_{loop},
      screen_{screen},
      options_{std::move(options)},
      bits_{belay::Seed{options_.seed}},
      timeline_{loop.now()},
      last_turn_{loop.now()},
      server_{loop,
              {[this](std::string_view line) { on_server(line); },
               [this](std::string_view line) { screen_.say(line); },
               [this](int status) { on_end("server", status); }}},
      client_{loop,
              {[this](std::string_view line) { on_client(line); },
               [this](std::string_view line) { screen_.say(line); },
               [this](int status) { on_end("client", status); }}} {
    view_.begin = timeline_.begin();
    view_.since = view_.begin;
    view_.total = options_.lines;
    view_.done = options_.done;
    view_.wanted = options_.wanted;
    loop_.attach(*this);
    start_server();
}

// ---- the machine -------------------------------------------------------------------------------

bool FaultInjector::plan_due() const noexcept {
    return phase_ == Phase::steady && next_plan_ < options_.plans.size() &&
           view_.state == "connected" && view_.delivered >= options_.plans[next_plan_].at_line;
}

Instant FaultInjector::deadline() const noexcept {
    if (plan_due()) return belay::always;
    if (phase_ == Phase::ending) {
        return server_.running() || client_.running() ? due_ : belay::always;
    }
    return std::min({screen_.next(), due_, after(last_turn_, seconds{1})});
}

void FaultInjector::advance(Instant now) {
    if (phase_ == Phase::ending) {
        if (now >= due_) {
            server_.kill();
            client_.kill();
        }
        if (server_.running() || client_.running()) return;
        show(now);
        return loop_.stop();
    }
    if (plan_due()) {
        inject(now);
    } else if (now >= due_) {
        undo(now);
    }
    watch(now);
    if (screen_.next() <= now) show(now);
}

void FaultInjector::show(Instant now) {
    view_.longest = timeline_.longest_outage(now);
    screen_.show(view_, now);
}

// ---- faults -------------------------------------------------------------------------------------

void FaultInjector::inject(Instant now) {
    const Fault fault = options_.plans[next_plan_].fault;
    const unsigned count = ++view_.done.of(fault);
    Counts wanted = options_.wanted;
    event(std::string{to_string(fault)} + " (" + std::to_string(count) + " of " +
          std::to_string(wanted.of(fault)) + ")");
    timeline_.record_fault(fault, now);
    switch (fault) {
        case Fault::kill_server:
            server_.kill();
            view_.server = "killed";
            phase_ = Phase::server_down;
            due_ = after(now, pause(200, 900));
            break;
        case Fault::freeze_server:
            server_.signal(SIGSTOP);
            view_.server = "frozen";
            phase_ = Phase::freezing;
            break;
        case Fault::kill_client:
            client_.kill();
            view_.client = "killed";
            view_.state = "down";
            view_.since = now;
            view_.retry_at = belay::never;
            timeline_.state(now, "down");
            phase_ = Phase::client_down;
            due_ = after(now, pause(100, 600));
            break;
    }
    options_.on_fault(view_.done);
}

void FaultInjector::undo(Instant now) {
    due_ = belay::never;
    switch (phase_) {
        case Phase::server_down:
            start_server();
            timeline_.undone(now);
            phase_ = Phase::recovering;
            break;
        case Phase::frozen:
            server_.signal(SIGCONT);
            view_.server = "running";
            event("server thawed");
            timeline_.undone(now);
            phase_ = Phase::recovering;
            break;
        case Phase::client_down:
            start_client();
            timeline_.undone(now);
            phase_ = Phase::recovering;
            break;
        default:
            break;
    }
}

Duration FaultInjector::pause(int least_ms, int most_ms) {
    const auto spread = static_cast<std::uint64_t>(most_ms - least_ms);
    return milliseconds{least_ms + static_cast<int>(belay::uniform_upto(bits_, spread))};
}

void FaultInjector::start_server() {
    view_.server = "starting";
    server_.start({"server", "--dir", options_.dir, "--port", std::to_string(port_)});
}

void FaultInjector::start_client() {
    view_.client = "running";
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.6f", options_.rate);
    client_.start({"client", "--connect", "127.0.0.1:" + std::to_string(port_), "--file",
                   options_.file, "--dir", options_.dir, "--rate",
                   options_.rate == 0 ? "0" : rate});
    allowed_ = 0;
    allow_lines();
    event("client started");
}

/// The last line waits for the last fault, so that there is always a client to do it to.
void FaultInjector::allow_lines() {
    const std::size_t after_next = next_plan_ + 1;
    std::uint64_t upto = options_.lines;
    if (next_plan_ < options_.plans.size()) {
        upto = after_next < options_.plans.size() ? options_.plans[after_next].at_line
                                                  : options_.lines - 1;
    }
    if (upto == allowed_) return;
    allowed_ = upto;
    client_.command("upto " + std::to_string(upto));
}

/// Gives up when nothing moves for a long time, with something to deliver. Time in which the whole
/// demo was stopped (Ctrl-Z) counts as one turn.
void FaultInjector::watch(Instant now) {
    quiet_ += std::min<Duration>(elapsed(last_turn_, now), seconds{1});
    last_turn_ = now;
    const bool slow = options_.rate != 0 && options_.rate < 1;
    const Duration patience{static_cast<Duration::rep>(slow ? 6e10 / options_.rate : 6e10)};
    if (quiet_ > patience) {
        give_up("there was no progress for " + in_seconds(patience), exit_wrong);
    }
}

// ---- the end -----------------------------------------------------------------------------------

void FaultInjector::stop() {
    if (phase_ == Phase::ending) {
        due_ = belay::always;
        return waker_.touch();
    }
    conclude(End::interrupted);
}

void FaultInjector::give_up(const std::string& why, int code) {
    trouble_ = why;
    trouble_code_ = code;
    conclude(End::broken);
}

void FaultInjector::conclude(End end) {
    if (end_ != End::running) return;
    end_ = end;
    phase_ = Phase::ending;
    const Instant now = loop_.now();
    timeline_.end(now);
    due_ = after(now, ending_max);
    client_.signal(SIGTERM);
    server_.signal(SIGTERM);
    server_.signal(SIGCONT);
    waker_.touch();
}

void FaultInjector::on_end(const char* who, int status) {
    waker_.touch();
    const bool is_client = who == std::string_view{"client"};
    (is_client ? view_.client : view_.server) = "ended";
    if (phase_ == Phase::ending) return;
    if (is_client && WIFEXITED(status) && WEXITSTATUS(status) == exit_ok) {
        return conclude(End::delivered);
    }
    give_up("the " + std::string{who} + " ended unexpectedly, " + ending(status),
            WIFEXITED(status) && WEXITSTATUS(status) == exit_rejected ? exit_rejected : exit_wrong);
}

// ---- reports -----------------------------------------------------------------------------------

void FaultInjector::on_server(std::string_view report) {
    quiet_ = {};
    waker_.touch();
    const std::string_view kind = word(report);
    if (kind == "delivered") {
        view_.delivered = std::max(view_.delivered, number(report));
    } else if (kind == "listening") {
        view_.server = "running";
        event("server listens");
        if (phase_ == Phase::starting) {
            port_ = static_cast<std::uint16_t>(number(report));
            start_client();
            phase_ = Phase::recovering;
        }
    }
}

void FaultInjector::on_client(std::string_view report) {
    quiet_ = {};
    const std::string_view kind = word(report);
    if (kind == "state") return on_state(report);
    if (kind != "queue") return;
    const Instant at = moment(word(report));
    const std::uint64_t taken = number(word(report));
    const std::uint64_t acknowledged = number(word(report));
    view_.waiting = taken - acknowledged;
    timeline_.queue(at, view_.waiting, acknowledged);
}

void FaultInjector::on_state(std::string_view words) {
    waker_.touch();
    const Instant at = moment(word(words));
    view_.since = at;
    view_.state = word(words);
    const std::uint64_t retry_at = number(word(words));
    view_.retry_at =
        retry_at == 0 ? belay::never : Instant{Duration{static_cast<Duration::rep>(retry_at)}};
    view_.attempt = number(word(words));
    view_.why = words;
    timeline_.state(at, view_.state);
    view_.outages = timeline_.outages().size();

    std::string text = "client " + view_.state;
    if (view_.state == "connecting") text += ", attempt " + std::to_string(view_.attempt);
    if (view_.retry_at != belay::never) {
        text +=
            ", next attempt in " + in_seconds(elapsed(at, view_.retry_at)) + " (" + view_.why + ")";
    }
    event(text);

    const bool connected = view_.state == "connected";
    if (phase_ == Phase::freezing && !connected) {
        phase_ = Phase::frozen;
        // Long enough for attempts that a frozen server takes and never answers.
        due_ = after(loop_.now(), pause(300, 1500));
    } else if (phase_ == Phase::frozen && connected) {
        give_up("the client reported connected while the server was frozen", exit_wrong);
    } else if (phase_ == Phase::recovering && connected) {
        const bool was_deed =
            !timeline_.timed_faults().empty() && timeline_.timed_faults().back().recovered == at;
        if (was_deed) ++next_plan_;
        phase_ = Phase::steady;
        allow_lines();
    }
}

void FaultInjector::event(const std::string& text) {
    if (phase_ != Phase::ending) screen_.event(view_, loop_.now(), text);
}

}  // namespace outage
