// SPDX-License-Identifier: MIT
/// \file tests/support/session/receiver_rig.hpp
/// ReceiverRig: a receiver with scripted connections, frame by frame, and scripted time.
#pragma once

#include <functional>

#include <belay/session/receiver.hpp>

#include "support/catch.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/session/raw_peer.hpp"

namespace belay_test {

/// Records the events of a receiver.
struct ReceiverNotes {
    Observed observed;

    void on_attached(const belay::Id& s, const belay::Progress& p) {
        observed.push_back("attached " + name(s) + " at " + std::to_string(p.applied));
    }
    void on_committed(const belay::Id& s, const belay::Progress& p) {
        observed.push_back("committed " + name(s) + " at " + std::to_string(p.applied));
    }
    void on_journal_replaced(const belay::Id& s, const belay::Progress& old) {
        observed.push_back("replaced " + name(s) + " at " + std::to_string(old.applied));
    }
    void on_rejected(belay::SessionErrc e, const belay::Id& s) {
        observed.push_back("rejected " + name(s) + ": " + std::to_string(static_cast<int>(e)));
    }
    void on_sender_failed(const belay::Id& s, std::error_code e) {
        observed.push_back("sender failed " + name(s) + ": " + std::to_string(e.value()));
    }
    void on_ledger_failed(std::error_code e) {
        observed.push_back("failed: " + std::to_string(e.value()));
    }
    Observed take() { return std::exchange(observed, {}); }

private:
    static std::string name(const belay::Id& s) { return std::to_string(static_cast<int>(s[0])); }
};

/// Admits a client that sends "ticket". "nobody" is not authenticated, and other clients have no
/// permission.
struct TicketAuthorizer {
    std::error_code operator()(const belay::Id&, belay::BytesView token) const {
        if (belay::as_text(token) == "ticket") return {};
        return belay::as_text(token) == "nobody" ? belay::SessionErrc::unauthorized
                                                 : belay::SessionErrc::forbidden;
    }
};

template <class Authorize = belay::AllowAll, class Transport = RawTransport<>>
struct ReceiverRig {
    MemoryLedger ledger;
    ReceiverNotes notes;
    RawLinks lines;
    belay::Duration now{};
    belay::Receiver<Transport, LedgerView, Authorize, std::reference_wrapper<ReceiverNotes>>
        receiver;

    explicit ReceiverRig(belay::ReceiverOptions options = {})
        : receiver{LedgerView{ledger}, options, std::ref(notes)} {
        receiver.attach(belay::Waker{});
        receiver.advance(at({}));
    }

    /// Advances until no turn is due.
    void run(belay::Duration to) {
        now = to;
        for (int i = 0; i < 1000 && receiver.deadline() <= at(now); ++i) receiver.advance(at(now));
        REQUIRE(receiver.deadline() > at(now));
    }
    void run() { run(now); }

    /// A connection that has sent nothing yet.
    std::shared_ptr<RawLink> connect() {
        receiver.accept(Transport{lines});
        run();
        return lines.back();
    }
    /// The answer of the receiver to a message.
    Observed exchange(const std::shared_ptr<RawLink>& line, belay::Bytes message) {
        line->say(std::move(message));
        run();
        return line->sent_frames();
    }
    /// A connection of a sender whose journal the receiver has adopted, before or now.
    std::shared_ptr<RawLink> attached(const belay::session_format::Hello& hello) {
        auto line = connect();
        const Observed answer = exchange(line, bytes_of(hello));
        REQUIRE(answer.size() == 1);
        REQUIRE(answer[0].substr(0, 7) == "welcome");
        exchange(line, start(hello.attach));
        notes.take();
        return line;
    }
};

/// A rig whose receiver has an authorizer.
using Guarded = ReceiverRig<TicketAuthorizer>;
inline belay::session_format::Hello with_token(belay::session_format::Hello h,
                                               std::string_view token) {
    h.token = belay::as_bytes(token);
    return h;
}

/// Sender 1, its journal `journal`, connection `attach`.
inline belay::session_format::Hello hello_of(unsigned journal, std::uint64_t attach) {
    return {
        .attach = attach, .payload_bytes_max = 1U << 20U, .sender = id(1), .journal = id(journal)};
}
/// The same, once the journal is pinned to the rig's store.
inline belay::session_format::Hello pinned_hello_of(unsigned journal, std::uint64_t attach,
                                                    std::uint64_t base = 1) {
    belay::session_format::Hello h = hello_of(journal, attach);
    h.pinned_store = MemoryLedger{}.store;
    h.base = base;
    h.last = base - 1;
    return h;
}

}  // namespace belay_test
