// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <string>

#include <belay/asio/loop.hpp>
#include <belay/beast/any_listener.hpp>
#include <belay/beast/listener_metrics.hpp>
#include <belay/asio/boost.hpp>
#include <belay/openssl/jwt_authorizer.hpp>
#include <belay/metrics.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/posix/journal.hpp>
#include <belay/posix/journal_rooms.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/room/room_metrics.hpp>
#include <belay/room/protocols.hpp>
#include <boost/asio/signal_set.hpp>
using namespace belay;

// excerpt: begin
/// The rights are yours. This runs on the server's thread and must not block: for a database, see room-rights.md.
/// Here, the ids of ada's rooms begin with "ada.", and rooms with "open." belong to all users.
Access access_of(const std::string& user, const std::string& board) {
    if (board.starts_with(user + ".") || board.starts_with("open.")) return Access::edit;
    return board.starts_with("news.") ? Access::view : Access::none;
}
// excerpt: end

/// Logs each reason once per minute. /metrics counts all rejections.
void log_rejection(const std::string& reason, const std::string& from) {
    static std::map<std::string, std::time_t> logged;  // as many entries as there are reasons
    const std::time_t now = std::time(nullptr);
    if (now - logged[reason] < 60) return;
    logged[reason] = now;
    std::fprintf(stderr, "rejected %s: %s\n", from.c_str(), reason.c_str());
}

struct Upgrades {  // the observer of the listener: its limits apply before a client reaches a room
    void on_rejected(const beast::RejectedUpgrade& r) { log_rejection(std::string{to_string(r.reason)}, r.ip); }
};

struct App {  // an observer: copy the names of hooks from rooms.md, because a misspelt one is never called
    boost::asio::io_context* context;
    bool saved = false;
    void on_rejected(const RoomRejection& r) { log_rejection(r.message(), r.user + " from " + r.ip); }
    void on_room_failed(const RoomFailure& f) {
        std::fprintf(stderr, "%s: %s\n", f.room_id.c_str(), f.error.message().c_str());
        if (f.error.code == QueueErrc::must_reopen) std::_Exit(75);  // the supervisor starts it again
    }
    void on_stopped(std::error_code error) { saved = !error, context->stop(); }
};

int main(int count, char** words) {  // PORT FOLDER, and SECRET in the environment
    const char* const secret = std::getenv("SECRET");
    if (count != 3 || secret == nullptr) return std::fputs("SECRET=... server PORT FOLDER\n", stderr), 2;
    auto verifier = jwt::Verifier::make({.algorithm = jwt::Algorithm::hs256}, {{secret}});
    if (!verifier) return std::fprintf(stderr, "%s\n", verifier.error().message().c_str()), 2;
    // excerpt: begin
    const std::string folder = words[2];
    auto log = posix::Journal::open(folder + "/log", {.verify = Verify::skip_damage});
    if (!log) return std::fprintf(stderr, "%s\n", log.error().message().c_str()), 2;
    auto stored = posix::JournalRooms::open(folder + "/boards", std::move(*log));
    if (!stored) return std::fprintf(stderr, "%s\n", stored.error().message().c_str()), 2;
    // excerpt: end

    // excerpt: begin
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    jwt::Authorizer rights{std::move(*verifier),
                           [](const jwt::Claims& who, const RoomRequest& request) { return access_of(who.subject, request.room_id); }};
    RoomManager rooms{OnThread{std::move(*stored)}, std::move(rights), RoomOptions{.close_codes = yjs_close_codes()}, App{&context}};
    loop.attach(rooms);
    rooms.start();
    // excerpt: end

    beast::ListenerOptions options{.messages = {.too_large_code = yjs_close_codes().too_large}};  // at 1009, clients would dial again
    options.proxies = {"127.0.0.1"};  // nginx on this machine names the clients, to which the limits apply
    if (const char* const origin = std::getenv("ORIGIN")) options.origins = {origin};  // the pages that may connect
    std::function<beast::ListenerCounters()> listener_counters;
    options.pages = [&](const HttpRequest& request) -> HttpResponse {
        if (request.url != "/metrics") return {.status = 404};
        metrics::Page page;
        page.add("boards", rooms);
        page.add("boards", listener_counters());
        HttpResponse answer{.status = 200, .headers = {{"Content-Type", "text/plain"}}};
        to_prometheus(answer.body, page);
        return answer;
    };
    // excerpt: begin
    beast::AnyListener listener{loop,
                                [&](beast::AnyAccepted client) {
                                    RoomRequest request = room_request(client.request(), "/ws/");  // /ws/{board}?token=...
                                    rooms.accept(std::move(client), YjsProtocol{}, std::move(request));
                                },
                                options, Upgrades{}};
    // excerpt: end
    listener_counters = [&] { return listener.counters(); };
    const int port = std::atoi(words[1]);
    if (const auto error = listener.listen({"127.0.0.1", static_cast<std::uint16_t>(port)}))
        return std::fprintf(stderr, "port %d: %s\n", port, error.message().c_str()), 2;
    std::printf("ws://127.0.0.1:%d/ws\n", listener.port()), std::fflush(stdout);

    boost::asio::signal_set signals{context, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (!error) listener.close(), rooms.stop();
    });
    context.run();
    if (!rooms.observer().saved) {
        std::fputs("not all is saved\n", stderr);
        std::_Exit(1);  // the destructors would wait for a disk that does not answer
    }
    std::puts("all is saved");
}
