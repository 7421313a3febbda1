// SPDX-License-Identifier: MIT
// Goal: each hook of a receiver is called, with and without the machine as first parameter, in every
// form of observer; a wrong form does not compile. Method: the test plays the senders.
#include <belay/session/receiver.hpp>

#include "support/core/observed_in_every_form.hpp"
#include "support/session/receiver_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

const auto lifecycle_of_a_receiver = [](auto observer) {
    MemoryLedger ledger;
    RawLinks lines;
    Receiver<RawTransport<>, LedgerView, AllowAll, decltype(observer)> receiver{
        LedgerView{ledger}, {}, std::move(observer)};
    const auto run = [&] {
        for (int i = 0; i < 1000 && receiver.deadline() <= at(0s); ++i) receiver.advance(at(0s));
    };
    const auto connect = [&](unsigned journal, std::uint64_t attach) {
        receiver.accept(RawTransport<>{lines});
        run();
        lines.back()->say(bytes_of(hello_of(journal, attach)));
        run();
        lines.back()->say(start(attach));
        run();
    };
    receiver.attach(belay::Waker{});
    receiver.advance(at(0s));
    connect(1, 1);
    lines.back()->say(data(1, "x"));
    run();
    connect(2, 2);
    ledger.apply_fails = ledger.commit_fails = std::make_error_code(std::errc::io_error);
    lines.back()->say(data(1, "y"));
    run();
};
struct ReceiverRecorder {
    Recorded& reported;
    void on_attached(const Id& s, const Progress& p) { note("attached", s, p.applied); }
    void on_committed(const Id& s, const Progress& p) { note("committed", s, p.applied); }
    void on_journal_replaced(const Id& s, const Progress& old) { note("replaced", s, old.applied); }
    void on_rejected(SessionErrc e, const Id& s) {
        note("rejected", s, static_cast<std::uint64_t>(e));
    }
    void on_sender_failed(const Id& s, std::error_code) { note("sender failed", s, 0); }
    void on_ledger_failed(std::error_code) { reported.emplace_back("failed"); }
    void note(const char* what, const Id& s, std::uint64_t n) {
        reported.push_back(std::string{what} + " " + std::to_string(static_cast<int>(s[0])) + " " +
                           std::to_string(n));
    }
};
struct ReceiverRecorderWithMachine {
    Recorded& reported;
    void on_attached(auto& receiver, const Id& s, const Progress& p) {
        if (receiver.connections() != 0) ReceiverRecorder{reported}.on_attached(s, p);
    }
    void on_committed(auto& receiver, const Id& s, const Progress& p) {
        if (receiver.connections() != 0) ReceiverRecorder{reported}.on_committed(s, p);
    }
    void on_journal_replaced(auto& receiver, const Id& s, const Progress& old) {
        if (!receiver.failed()) ReceiverRecorder{reported}.on_journal_replaced(s, old);
    }
    void on_rejected(auto& receiver, SessionErrc e, const Id& s) {
        if (receiver.connections() < 3) ReceiverRecorder{reported}.on_rejected(e, s);
    }
    void on_sender_failed(auto& receiver, const Id& s, std::error_code e) {
        if (receiver.failed()) ReceiverRecorder{reported}.on_sender_failed(s, e);
    }
    void on_ledger_failed(auto& receiver, std::error_code e) {
        if (receiver.failed() == e) ReceiverRecorder{reported}.on_ledger_failed(e);
    }
};
struct ReceiverAllWrong : NoObserver {
    void on_attached(Id&, const Progress&);
    void on_committed(const Progress&);
    void on_journal_replaced(const BlockedDetails&);
    void on_rejected(const std::error_code&);
    void on_ledger_failed(SessionErrc&);
    void on_sender_failed(std::error_code);
};
using OfReceiver = detail::ReceiverHooks<Receiver<RawTransport<>, LedgerView>>;
static_assert(!OfReceiver::Attached::right<ReceiverAllWrong>);
static_assert(!OfReceiver::Committed::right<ReceiverAllWrong>);
static_assert(!OfReceiver::JournalReplaced::right<ReceiverAllWrong>);
static_assert(!OfReceiver::Rejected::right<ReceiverAllWrong>);
static_assert(!OfReceiver::LedgerFailed::right<ReceiverAllWrong>);
static_assert(!OfReceiver::SenderFailed::right<ReceiverAllWrong>);

}  // namespace

TEST_CASE("Receiver calls each hook, in every form of observer",
          "[session][receiver_observer][unit]") {
    const Recorded all{"attached 1 0", "committed 1 1", "rejected 1 12",     "replaced 1 1",
                       "attached 1 0", "rejected 1 13", "sender failed 1 0", "failed"};
    observed_in_every_form<ReceiverRecorder>(lifecycle_of_a_receiver, all);
    observed_in_every_form<ReceiverRecorderWithMachine>(lifecycle_of_a_receiver, all);
}

TEST_CASE("An observer of a receiver may declare that it has no hooks",
          "[session][receiver_observer][unit]") {
    struct WithoutHooks : NoObserver {};
    lifecycle_of_a_receiver(WithoutHooks{});
    WithoutHooks silent;
    lifecycle_of_a_receiver(std::ref(silent));
}
