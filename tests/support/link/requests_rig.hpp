// SPDX-License-Identifier: MIT
/// \file tests/support/link/requests_rig.hpp
/// RequestsRig: questions over a scripted transport of texts, with time set by the test.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/link/requests.hpp>

#include "support/link/link_rig.hpp"

namespace belay_test {

/// Puts "id:" in front of a question. A message without it is no answer.
struct TextIds {
    static void put_id(std::string& message, std::uint64_t id) {
        message = std::to_string(id) + ':' + message;
    }
    [[nodiscard]] static std::optional<std::uint64_t> id_of(const std::string& message) {
        const std::size_t colon = message.find(':');
        if (colon == std::string::npos) return std::nullopt;
        return std::stoull(message.substr(0, colon));
    }
};

/// A codec in order. A message with "push" in front is no answer.
struct TextInOrder : belay::part::InOrder {
    [[nodiscard]] static bool is_answer(const std::string& message) {
        return message.rfind("push", 0) != 0;
    }
};

/// Returns "message", or the reason why there is none.
inline std::string text_of(const belay::Result<std::string, belay::Failure>& answer) {
    return answer ? *answer : answer.error().message();
}

/// Records the reports of a Requests, and runs a function in each hook.
struct RequestsNotes {
    Observed observed;
    std::function<void(const std::string&)> hook;

    void on_state(const belay::Transition& t) { add(std::string{to_string(t.to.state)}); }
    void on_message(const std::string& m) { add("message " + m); }
    void on_unmatched(const std::string& m) { add("unmatched " + m); }
    void add(const std::string& what) {
        observed.push_back(what);
        if (hook) hook(what);
    }
    Observed take() { return std::exchange(observed, {}); }
};

template <class Codec>
struct RequestsRig {
    using Machine = belay::Requests<FakeTransport<>, decltype(doubling()), Codec,
                                    std::reference_wrapper<RequestsNotes>>;
    TransportState transport;
    RequestsNotes notes;
    belay::Duration now{};
    std::unique_ptr<Machine> box;  ///< on the heap, where sanitizers detect a use after its end

    explicit RequestsRig(belay::RequestsOptions options = {})
        : box{std::make_unique<Machine>(FakeTransport<>{transport}, doubling(), Codec{}, options,
                                        std::ref(notes))} {
        run();
    }
    /// Advances until no turn is due, or the machine was destroyed.
    void run(belay::Duration to) {
        now = to;
        // The first turn sets the time from which deadlines count.
        if (box) box->advance(at(now));
        for (int i = 0; i < 1000 && box && box->deadline() <= at(now); ++i) box->advance(at(now));
        REQUIRE((!box || box->deadline() > at(now)));
    }
    void run() { run(now); }
    void connect() {
        box->start();
        run(now + std::chrono::seconds{10});
        transport.link.opened();
        run();
        REQUIRE(box->status().link.state == belay::LinkState::connected);
        notes.take();
    }
    void cut() { transport.link.closed(lost), run(); }
    void answer(std::string text) {
        static_cast<void>(transport.link.received(std::move(text))), run();
    }
    /// Asks, and records the answer as "<question> = <answer>".
    std::uint64_t ask(const std::string& question, belay::Duration within = std::chrono::seconds{2},
                      belay::RequestsOptions::OnLoss on_loss = belay::RequestsOptions::fail) {
        const auto asked = box->ask(
            question, within,
            [this, question](const belay::Result<std::string, belay::Failure>& a) {
                notes.add(question + " = " + text_of(a));
            },
            on_loss);
        REQUIRE(asked.has_value());
        return *asked;
    }
    [[nodiscard]] std::error_code refused(const std::string& question, belay::Duration within) {
        const auto asked = box->ask(question, within, [](const auto&) {});
        return asked ? std::error_code{} : asked.error();
    }
    std::vector<std::string> sent() { return std::exchange(transport.sent, {}); }
};

}  // namespace belay_test
