// SPDX-License-Identifier: MIT
// Goal: each accepted question is completed exactly once, by its deadline, with its own answer or a
// failure, under any behaviour of the server, the connection and the caller. Method: random
// histories in virtual time against a server that answers late, twice, never, or with unknown ids.
#include <belay/link/requests.hpp>

#include <algorithm>
#include <map>

#include "support/link/requests_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::RequestsRig;
using belay_test::TextIds;

namespace {

template <class Codec>
struct RequestsHistory {
    static constexpr bool has_ids = std::is_same_v<Codec, TextIds>;

    struct Asked {
        Duration deadline;
        int completed = 0;
    };

    Random random;
    RequestsRig<Codec> rig;
    std::map<std::string, Asked> questions;  ///< the accepted questions
    std::vector<std::uint64_t> ids;
    std::vector<std::string> unanswered;  ///< what the server received on this connection
    std::uint64_t answers = 0;
    int next = 0;

    explicit RequestsHistory(Seed seed)
        : random{seed},
          rig{{.in_flight_max = 1 + pick(5),
               .waiting_max = pick(6),
               .sends_max = 1 + static_cast<unsigned>(pick(3)),
               .timeouts_max = static_cast<unsigned>(pick(4))}} {
        // Deadlines end a connection, too, and not only a cut.
        rig.transport.on_open = [this](const auto&) {
            rig.transport.sent.clear();
            unanswered.clear();
        };
        rig.box->start();
    }
    std::size_t pick(std::size_t below) {
        return static_cast<std::size_t>(uniform_upto(random, below - 1));
    }

    void ask() {
        const std::string name = "q" + std::to_string(next++);
        const Duration within = std::chrono::milliseconds{1 + pick(pick(2) == 0 ? 500 : 12'000)};
        const auto loss = pick(2) == 0 ? RequestsOptions::fail : RequestsOptions::send_again;
        const auto asked = rig.box->ask(
            name, within,
            [this, name](const Result<std::string, Failure>& answer) { complete(name, answer); },
            loss);
        if (!asked) return;
        questions[name].deadline = rig.now + within;
        ids.push_back(*asked);
    }
    void complete(const std::string& name, const Result<std::string, Failure>& answer) {
        Asked& asked = questions.at(name);
        ++asked.completed;
        CHECK(rig.now <= asked.deadline);
        if (!answer) return;
        ++answers;
        // An answer has the form "id:name!", or "name!".
        const std::string own = answer->substr(answer->find(':') + 1);
        CHECK(own == name + "!");
        if (pick(8) == 0) ask();
    }
    /// Lets time pass; the driver is in time.
    void pass(Duration time) {
        const Duration end = rig.now + time;
        while (rig.box->deadline() <= belay_test::at(end)) {
            rig.run(elapsed(belay_test::at(0s), rig.box->deadline()));
        }
        rig.run(end);
    }
    /// The server receives what was sent.
    void serve() {
        for (std::string& text : rig.transport.sent) unanswered.push_back(std::move(text));
        rig.transport.sent.clear();
    }
    void answer() {
        serve();
        if (unanswered.empty()) return;
        const std::size_t i = has_ids ? pick(unanswered.size()) : 0;
        rig.answer(unanswered[i] + "!");
        if (has_ids && pick(4) == 0) rig.answer(unanswered[i] + "!");  // answered twice
        unanswered.erase(unanswered.begin() + static_cast<std::ptrdiff_t>(i));
    }
    void cut() { rig.transport.link.closed(belay_test::lost); }
    void step() {
        switch (pick(10)) {
            case 0:
            case 1:
            case 2:
                ask();
                break;
            case 3:
            case 4:
            case 5:
                answer();
                break;
            case 6:
                pass(std::chrono::milliseconds{pick(1500)});
                break;
            case 7:
                if (pick(3) == 0) cut();
                break;
            case 8:
                if (!ids.empty() && pick(3) == 0) rig.box->cancel(ids[pick(ids.size())]);
                if (has_ids && pick(3) == 0) rig.answer("5:unknown!");
                break;
            default:
                rig.transport.answer = pick(4) == 0 ? SendResult::busy : SendResult::sent;
                if (pick(40) == 0) rig.box->stop();
                rig.box->start();
                break;
        }
        if (rig.transport.answer == SendResult::sent) rig.transport.link.writable();
        if (pick(2) == 0) rig.transport.link.opened();
        rig.run();
    }
    void finish() {
        pass(13s);
        for (const auto& [name, asked] : questions) {
            INFO(name);
            CHECK(asked.completed == 1);
        }
        const RequestsStatus s = rig.box->status();
        CHECK(s.asked == questions.size());
        CHECK(s.answered == answers);
        CHECK(s.answered + s.timed_out + s.lost + s.cancelled == s.asked);
        CHECK(s.waiting == 0);
    }
};

}  // namespace

TEMPLATE_TEST_CASE("Requests completes each question once, in time, with its own answer",
                   "[link][requests][property]", part::InOrder, TextIds) {
    std::uint64_t answers = 0;
    std::uint64_t sent_again = 0;
    std::uint64_t timeouts = 0;
    std::uint64_t losses = 0;
    std::uint64_t unmatched = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed " << seed);
        RequestsHistory<TestType> history{Seed{seed}};
        for (int i = 0; i < 200; ++i) history.step();
        history.finish();
        const RequestsStatus s = history.rig.box->status();
        answers += s.answered;
        sent_again += s.sent_again;
        timeouts += s.timed_out;
        losses += s.lost;
        unmatched += s.unmatched;
    }
    // Each kind of end has happened often.
    CHECK(answers > 1000);
    CHECK(sent_again > 100);
    CHECK(timeouts > 100);
    CHECK(losses > 100);
    CHECK(unmatched > 100);
}
