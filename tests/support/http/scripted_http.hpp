// SPDX-License-Identifier: MIT
/// \file tests/support/http/scripted_http.hpp
/// ScriptedHttp: a client in virtual time, with responses from a script of the test.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/http/http_message.hpp>

#include "support/call/async_sleeper.hpp"

namespace belay_test {

/// The response of a server with a status and headers.
inline belay::HttpResponse status(int code, belay::HttpHeaders headers = {}) {
    return {.status = code, .headers = std::move(headers)};
}
/// The response if none arrived, or only a part of one.
inline belay::HttpResponse ended(belay::HttpErrc why, bool sent = true) {
    return {.failure = belay::Failure::from(why), .sent = sent};
}

/// Models HttpLike: keeps deadlines, passes bodies to on_chunk, and records its requests.
class ScriptedHttp {
    struct State {
        belay::HttpRequest request;
        std::optional<belay::Completion<belay::HttpResponse>> done;
        std::optional<belay::Task<bool>> work{};
    };

public:
    class Handle {
    public:
        Handle(ScriptedHttp& http, std::shared_ptr<State> state)
            : http_{&http}, state_{std::move(state)} {}
        Handle(Handle&&) noexcept = default;
        ~Handle() {
            if (!state_) return;
            if (state_->done) ++http_->aborted;
            state_->work.reset();
            state_->done.reset();
        }

    private:
        ScriptedHttp* http_;
        std::shared_ptr<State> state_;
    };
    /// One response, after a time; `forever` for none.
    struct Step {
        belay::HttpResponse response;
        belay::Duration after{};
    };
    struct Seen {
        std::string url;
        std::string method;
        belay::HttpHeaders headers;
        std::string body;
        belay::Duration deadline;
        belay::Instant at;
    };

    explicit ScriptedHttp(AsyncSleeper& sleeper) noexcept : sleeper_{sleeper} {}

    [[nodiscard]] Handle request(belay::HttpRequest request,
                                 belay::Completion<belay::HttpResponse> done) {
        if (throws != 0 && throws-- != 0) throw std::bad_alloc{};
        if (on_request) on_request(request);
        seen.push_back({request.url, request.method, request.headers, request.body,
                        request.deadline, sleeper_.now()});
        Step step = answer ? answer(seen.back()) : next();
        const std::shared_ptr<State> state{
            new State{.request = std::move(request), .done = std::move(done)}};
        state->work.emplace(work(state.get(), std::move(step)));
        state->work->start();
        return {*this, state};
    }
    /// The times between the requests.
    [[nodiscard]] std::vector<belay::Duration> waits() const {
        std::vector<belay::Duration> waits;
        for (std::size_t i = 1; i < seen.size(); ++i)
            waits.push_back(belay::elapsed(seen[i - 1].at, seen[i].at));
        return waits;
    }

    std::deque<Step> script{};                  ///< the last one is repeated
    std::function<Step(const Seen&)> answer{};  ///< instead of the script
    std::vector<Seen> seen{};
    std::vector<std::string> pieces{};  ///< of each body that is passed to an on_chunk
    belay::Duration pieces_every{};     ///< the time before each of them
    std::function<void()> on_end{};     ///< called before each answer
    std::function<void(const belay::HttpRequest&)> on_request{};
    int aborted = 0;
    int throws = 0;

private:
    Step next() {
        Step step = script.front();
        if (script.size() > 1) script.pop_front();
        return step;
    }
    belay::Task<bool> work(State* state, Step step) {
        const belay::Duration limit = state->request.deadline;
        if (state->request.on_chunk && pieces_every > belay::Duration{}) {
            co_await in_pieces(*state, step.response);
            step.response.body.clear();
        }
        const bool late = step.after > limit;
        if (const belay::Duration wait = late ? limit : step.after; wait.count() > 0)
            co_await sleeper_.async_sleep_until(belay::after(sleeper_.now(), wait));
        if (late || limit.count() <= 0)
            step.response = ended(belay::HttpErrc::timed_out, limit.count() > 0);
        if (state->request.on_chunk && step.response.status != 0) {
            const std::string body = std::exchange(step.response.body, {});
            state->request.on_chunk(step.response, "");
            if (!body.empty()) state->request.on_chunk(step.response, body);
            for (const std::string& piece : pieces) state->request.on_chunk(step.response, piece);
        }
        if (on_end) on_end();
        auto done = std::exchange(state->done, std::nullopt);
        if (done) (*done)(std::move(step.response));
        co_return true;
    }

    belay::Task<bool> in_pieces(State& state, const belay::HttpResponse& head) {
        if (head.status != 0) state.request.on_chunk(head, "");
        for (const std::string& piece : pieces) {
            co_await sleeper_.async_sleep_until(belay::after(sleeper_.now(), pieces_every));
            state.request.on_chunk(head, piece);
        }
        co_return true;
    }

    AsyncSleeper& sleeper_;
};

}  // namespace belay_test
