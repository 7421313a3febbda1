// SPDX-License-Identifier: MIT
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <belay/drive.hpp>
#include <belay/http.hpp>
using namespace belay;

/// Takes what comes, the head first, with an empty piece; false once nobody wants it any more.
using Deliver = std::function<bool(const HttpResponse& head, std::string_view piece)>;

/// Your library's call, which blocks: throws nothing, and keeps the limits of the request.
HttpResponse blocking_call(const HttpRequest& request, const Deliver& deliver) {
    if (!request.url.starts_with("http://")) return {.failure = Failure::from(HttpErrc::bad_url), .sent = false};
    HttpResponse head{.status = 200, .headers = {{"Content-Type", "text/plain"}}};
    if (!deliver(head, "") || !deliver(head, "hello")) head.failure = Failure{Cause::lost};
    return head;
}

class ThreadedHttp {
    // excerpt: begin
    struct State {
        HttpRequest request;
        std::optional<Completion<HttpResponse>> done;  // the loop's, until it answers
        std::atomic<bool> wanted{true};

        void drop() noexcept {
            wanted = false;
            done.reset();  // completes the request with nullopt, if it was not completed
        }
    };
    // excerpt: end

public:
    class Handle {
    public:
        explicit Handle(std::shared_ptr<State> state) : state_{std::move(state)} {}
        Handle(Handle&&) noexcept = default;
        ~Handle() {
            if (state_) state_->drop();
        }

    private:
        std::shared_ptr<State> state_;
    };
    using Call = HttpResponse (*)(const HttpRequest&, const Deliver&);

    ThreadedHttp(Loop<>& loop, Call call) : loop_{&loop}, call_{call} {}
    ThreadedHttp(ThreadedHttp&&) = default;
    ~ThreadedHttp() {
        for (const auto& asked : asked_) {
            if (const auto state = asked.lock()) state->drop();
        }
    }

    // excerpt: begin
    Handle request(HttpRequest request, Completion<HttpResponse> done) {
        const std::shared_ptr<State> state{new State{std::move(request), std::move(done)}};
        std::erase_if(asked_, [](const auto& asked) { return asked.expired(); });
        asked_.push_back(state);
        std::thread{&ThreadedHttp::run, state, loop_, call_}.detach();
        return Handle{state};
    }
    // excerpt: end

private:
    // excerpt: begin
    static void run(std::shared_ptr<State> state, Loop<>* loop, Call call) {
        const auto at_home = [&](auto f) {  // on the loop's thread, as soon as the loop accepts it
            while (state->wanted && loop->post(f) == driver::Post::full) std::this_thread::yield();
        };
        const bool in_pieces = static_cast<bool>(state->request.on_chunk);
        std::string body;
        HttpResponse last = call(state->request, [&](const HttpResponse& head, std::string_view piece) {
            if (in_pieces) {
                at_home([state, head, text = std::string{piece}] {
                    if (state->done) state->request.on_chunk(head, text);
                });
            } else {
                body += piece;
            }
            return state->wanted.load();
        });
        last.body = std::move(body);
        at_home([state, last] {
            if (auto done = std::exchange(state->done, std::nullopt)) (*done)(last);
        });
    }
    // excerpt: end

    Loop<>* loop_;  // outlives the threads
    Call call_;
    std::vector<std::weak_ptr<State>> asked_{};
};
static_assert(explain::http_like<ThreadedHttp>());

int main() {
    Loop<> loop;
    ThreadedHttp http{loop, blocking_call};
    const auto handle = http.request({.url = "http://example.com/"}, [&](std::optional<HttpResponse> response) noexcept {
        if (response) std::printf("%d %s\n", response->status, response->body.c_str());
        loop.stop();
    });
    loop.run();
    return 0;
}
