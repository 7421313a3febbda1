// SPDX-License-Identifier: MIT
#include <cstdio>
#include <deque>
#include <string>

#include <belay/curl/http.hpp>  // needs libcurl
#include <belay/belay.hpp>
#include <belay/drive.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/posix.hpp>
#include <belay/room.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Webhooks {
    // excerpt: begin
    void on_room_event(const RoomEvent& event) {
        if (event.kind == RoomEvent::Kind::saved) return;  // events that the service does not use
        if (waiting.size() == 1000) return static_cast<void>(++dropped);
        std::string body = "event=" + std::string{to_string(event.kind)} + "&clients=" + std::to_string(event.clients);
        // excerpt: end
        for (const auto& [name, text] : {std::pair{"&board=", &event.room_id}, {"&user=", &event.user}}) {
            body += name;
            for (const char c : *text) {  // ids may be any bytes
                char coded[4];
                std::snprintf(coded, sizeof coded, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
                body += coded;
            }
        }
        // excerpt: begin
        waiting.push_back(std::move(body));
        if (under_way && !under_way->done()) return;
        under_way.emplace(deliver());
        under_way->start();
    }
    // excerpt: end
    void on_stopped(std::error_code) { stopped = true; }

    // excerpt: begin
    Task<Result<void>> deliver() {
        for (; !waiting.empty(); waiting.pop_front()) {
            HttpRequest post{.url = url,
                             .method = "POST",
                             .headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                                         {"Authorization", "Bearer the-token-of-your-service"},
                                         {"Idempotency-Key", run + std::to_string(++sent)}},
                             .body = waiting.front(),
                             .deadline = 5min};
            const auto done = co_await calls.send(post);
            const std::string what = waiting.front().substr(0, waiting.front().find('&'));
            std::printf("%s: %s\n", what.c_str(), done ? "delivered" : "given up");
        }
        co_return Result<void>{};
    }
    // excerpt: end

    HttpCalls<curl::Http, LoopSleeper<posix::Loop<>>>& calls;
    std::string url;
    std::string run = std::to_string(entropy()) + "-";  // so that two runs share no keys
    std::size_t sent = 0;
    std::deque<std::string> waiting{};
    std::optional<Task<Result<void>>> under_way{};
    std::size_t dropped = 0;
    bool stopped = false;
};

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    posix::Loop<> loop;
    curl::Http http{loop};
    LoopSleeper sleeper{loop};
    // excerpt: begin
    HttpCalls calls{http,
                    sleeper,
                    {.attempts_max = 1000,
                     .wait_max = 30s,
                     .budget = {.retry_cost_milli = 0, .timeout_cost_milli = 0},  // retries are free
                     .breaker = {.percent = 0}}};                                 // no breaker; see below
    Webhooks hooks{calls, "http://127.0.0.1:" + std::string{words[1]} + "/hook"};
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, std::ref(hooks)};
    loop.attach(rooms);
    rooms.start();
    // excerpt: end
    // An update of Yjs that inserts "hi" into the text "t".
    const Bytes hi = to_bytes(std::string_view{"\x01\x01\x07\x00\x04\x01\x01t\x02hi\x00", 12});
    rooms.import_room("plan", {.updates = {hi}}, [&](auto) noexcept { rooms.stop(); });
    loop.run_until([&] { return hooks.stopped && hooks.waiting.empty(); });
}
