// SPDX-License-Identifier: MIT
/// \file tests/support/session/session_rig.hpp
/// SessionRig: a session over a journal on a simulated disk, with a receiver scripted frame by
/// frame, and scripted time.
#pragma once

#include <functional>
#include <memory>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/session/raw_peer.hpp"

namespace belay_test {

template <class Disk>
using JournalOn = belay::Journal<Disk>;
using DiskJournal = JournalOn<belay::sim::Disk>;

/// Records the events of a session.
struct SessionNotes {
    Observed observed;

    void on_state(const belay::Transition& t) { observed.emplace_back(to_string(t.to.state)); }
    void on_accepted(std::uint64_t up_to) {
        observed.push_back("accepted " + std::to_string(up_to));
    }
    void on_acknowledged(std::uint64_t up_to) {
        observed.push_back("acknowledged " + std::to_string(up_to));
    }
    void on_blocked(belay::Blocked b, const belay::BlockedDetails&) {
        observed.push_back("blocked " + std::string{to_string(b)});
    }
    void on_journal_replaced(const belay::BlockedDetails& f) {
        observed.push_back("replaced at " + std::to_string(f.replaced_applied));
    }
    void on_stalled() { observed.emplace_back("stalled"); }
    Observed take() { return std::exchange(observed, {}); }
};

template <class Disk>
JournalOn<Disk> open_journal(Disk& disk) {
    auto opened = JournalOn<Disk>::open(
        disk, "data/journal",
        {.segment_bytes = 4096, .record_bytes_max = 512, .seed = belay::Seed{7}});
    REQUIRE(opened.has_value());
    return std::move(*opened);
}

/// A policy with waits of 1, 2, 4, 8, 8 s.
inline auto patient() {
    using namespace std::chrono_literals;
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{8s}, 1s}};
}

template <class Connection = RawPingedConnection, class Observer = SessionNotes,
          class Disk = belay::sim::Disk>
struct SessionRig {
    using Queue = belay::Queue<JournalOn<Disk>>;
    using S = belay::Session<RawTransport<Connection>, decltype(patient()), Queue,
                             std::reference_wrapper<Observer>>;

    static constexpr belay::Id store{std::byte{0x5A}};

    Disk disk;
    RawLinks lines;
    Observer notes;
    belay::Duration now{};
    std::uint64_t processes = 0;
    std::size_t earlier_lines = 0;  ///< of the earlier processes
    std::unique_ptr<S> session;     ///< on the heap, where sanitizers detect a use after its end

    explicit SessionRig(belay::SessionOptions options = {}, std::size_t limit = 1000) {
        begin_process(options, limit);
    }
    /// The session of the first process, or of the next one over the same disk.
    void begin_process(belay::SessionOptions options = {}, std::size_t limit = 1000) {
        session.reset();
        ++processes;
        earlier_lines = lines.size();
        options.id = id(1);
        session =
            std::make_unique<S>(RawTransport<Connection>{lines}, patient(),
                                Queue{open_journal(disk), belay::QueueOptions{.limit = limit}},
                                options, std::ref(notes));
        session->advance(at(now));
    }

    /// Advances until no turn is due, or the session was destroyed.
    void run(belay::Duration to) {
        now = to;
        for (int i = 0; i < 1000 && session && session->deadline() <= at(now); ++i) {
            session->advance(at(now));
        }
        REQUIRE((!session || session->deadline() > at(now)));
    }
    void run() { run(now); }
    void start() {
        session->start();
        run();
    }
    void send(std::string_view text) { REQUIRE(session->send(belay::as_bytes(text)).has_value()); }
    RawLink& line() { return *lines.back(); }
    /// The answer of the session to a message.
    Observed exchange(belay::Bytes message) {
        line().say(std::move(message));
        run();
        return line().sent_frames();
    }
    [[nodiscard]] std::uint64_t attach() const {
        return (processes << 32U) + lines.size() - earlier_lines;
    }
    /// A receiver that knows the journal up to `applied`.
    belay::Bytes known(std::uint64_t applied) {
        const auto check = session->queue().storage().check(applied);
        REQUIRE(check.has_value());
        return bytes_of(belay::session_format::Welcome{.attach = attach(),
                                                       .payload_bytes_max = 100,
                                                       .known = true,
                                                       .store = store,
                                                       .byte_limit = 1U << 20U,
                                                       .applied = applied,
                                                       .check = *check,
                                                       .number_limit = 1000});
    }
    belay::Bytes fresh() {
        return bytes_of(belay::session_format::Welcome{
            .attach = attach(), .payload_bytes_max = 100, .store = store});
    }
    /// Starts, and is adopted.
    void connect() {
        start();
        exchange(fresh());
        exchange(ack(0));
        REQUIRE(session->status().link.state == belay::LinkState::connected);
        notes.take();
        line().sent_frames();
    }
    [[nodiscard]] belay::LinkState state() const { return session->status().link.state; }
    [[nodiscard]] belay::Blocked blocked() const { return session->status().blocked; }
};

}  // namespace belay_test
