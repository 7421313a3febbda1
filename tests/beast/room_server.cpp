// SPDX-License-Identifier: MIT
// A server of rooms for real clients, as a process of its own that can be killed.
//   room_server --dir DIR [--at ADDRESS] [--port PORT] [--OPTION NUMBER]...
// The build chooses the storage: files in DIR; or memory, SQLite in DIR, Redis or PostgreSQL at
// ADDRESS. Prints "port N" when it listens, and "saved" before it ends by SIGTERM. Port 0: a free
// one.
// Clients: /ws/canvas/{board}?token={user}:{access}; without a token no client is admitted. Clients
// of hocuspocus: /hocuspocus, with such tokens.
// Pages: /stats, or /stats/{board}, as JSON; /reload/{user}/{access}/{board} changes a right.
#include <malloc.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <belay/asio/boost.hpp>
#include <belay/beast/any_listener.hpp>
#include <belay/posix.hpp>
#include <belay/room.hpp>
#include <belay/room/on_thread.hpp>
#if defined(ROOM_SERVER_MEMORY)
#    include <belay/room/memory_rooms.hpp>
#elif defined(ROOM_SERVER_SQLITE)
#    include <belay/sqlite/rooms.hpp>
#elif defined(ROOM_SERVER_REDIS)
#    include <belay/redis/rooms.hpp>
#elif defined(ROOM_SERVER_POSTGRES)
#    include <belay/postgres/rooms.hpp>
#else
#    include <belay/posix/journal_rooms.hpp>
#endif

#include <boost/asio/signal_set.hpp>

using namespace belay;

namespace {

/// The options of the command line.
struct Words {
    std::string dir{};
    std::string address{};
    std::map<std::string, std::uint64_t> numbers{};

    template <class N>
    void take(const char* name, N& out) const {
        if (const auto at = numbers.find(name); at != numbers.end())
            out = static_cast<N>(at->second);
    }
    void take(const char* name, Duration& out) const {
        if (const auto at = numbers.find(name); at != numbers.end())
            out = std::chrono::milliseconds{at->second};
    }
};

[[nodiscard]] std::optional<Words> words_of(int count, char** output) {
    Words words;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string name = output[i];
        if (!name.starts_with("--")) return std::nullopt;
        if (name == "--dir") {
            words.dir = output[i + 1];
        } else if (name == "--at") {
            words.address = output[i + 1];
        } else {
            words.numbers[name.substr(2)] = std::strtoull(output[i + 1], nullptr, 10);
        }
    }
    if (count % 2 == 0 || words.dir.empty()) return std::nullopt;
    return words;
}

[[nodiscard]] Access access_named(std::string_view name) {
    for (const Access access : {Access::view, Access::comment, Access::edit}) {
        if (to_string(access) == name) return access;
    }
    return Access::none;
}

/// A client has the user and the access of its token, unless the access was changed.
struct ByToken {
    std::map<std::string, Access>* changed;

    void check(const RoomRequest& request, Completion<Grant> answer) const {
        const auto colon = request.token.find(':');
        const std::string user = request.token.substr(0, colon);
        if (colon == std::string::npos) return answer(Grant{});
        const auto at = changed->find(user);
        answer(Grant{.user = user,
                     .access = at != changed->end()
                                   ? at->second
                                   : access_named(request.token.substr(colon + 1))});
    }
};

struct App {
    boost::asio::io_context* context;
    bool saved = false;

    void on_rejected(const RoomRejection& refusal) const {
        std::fprintf(stderr, "rejected %s of %s: %s\n", refusal.user.c_str(),
                     refusal.room_id.c_str(), refusal.error.message().c_str());
    }
    void on_room_failed(const RoomFailure& failure) const {
        std::fprintf(stderr, "%s: %s\n", failure.room_id.c_str(), failure.error.message().c_str());
    }
    /// Sends a stateless message to the other clients of the room.
    void on_stateless(auto& rooms, const RoomEvent::Stateless& message) const {
        rooms.broadcast_stateless(message.room_id, message.user + ": " + message.payload,
                                  message.client);
    }
    void on_stopped(std::error_code error) {
        saved = !error;
        context->stop();
    }
};

/// The allocated bytes, according to the C library.
[[nodiscard]] std::uint64_t heap_bytes() {
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
}
/// The time in microseconds.
[[nodiscard]] std::uint64_t cpu_time() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto micros = [](const timeval& t) { return t.tv_sec * 1'000'000 + t.tv_usec; };
    return static_cast<std::uint64_t>(micros(used.ru_utime) + micros(used.ru_stime));
}

class Json {
public:
    template <class N>
    Json& say(const char* name, N value) {
        text_ += text_.size() == 1 ? "\"" : ",\"";
        text_ += name;
        text_ += "\":" + std::to_string(value);
        return *this;
    }
    [[nodiscard]] HttpResponse page() const { return {.status = 200, .body = text_ + "}"}; }

private:
    std::string text_ = "{";
};

template <class Rooms>
[[nodiscard]] HttpResponse stats_page(Rooms& rooms, const beast::ListenerCounters& counters) {
    const RoomCounters& c = rooms.counters();
    Json json;
    json.say("clients", rooms.clients()).say("rooms", rooms.rooms()).say("joined", c.joined);
    json.say("rejected", c.rejected).say("updates", c.updates).say("unchanged", c.unchanged);
    json.say("denied", c.denied).say("lost_updates", c.lost_updates).say("resyncs", c.resyncs);
    json.say("awareness_dropped", c.awareness_dropped).say("loads", c.loads).say("saves", c.saves);
    json.say("storage_failures", c.storage_failures).say("divergences", c.divergences);
    json.say("too_large", c.reasons.of(RoomErrc::frame_too_large));
    json.say("upgraded", counters.upgraded).say("heap_bytes", heap_bytes());
    return json.say("cpu_us", cpu_time()).page();
}
template <class Rooms>
[[nodiscard]] HttpResponse room_page(Rooms& rooms, const std::string& board) {
    const std::optional<RoomStats> stats = rooms.stats(board);
    if (!stats) return {.status = 404};
    Json json;
    json.say("clients", stats->clients).say("bytes", stats->bytes).say("pending", stats->pending);
    json.say("loaded", int{stats->loaded}).say("dirty", int{stats->dirty});
    return json.say("gaps", stats->gaps).page();
}

[[nodiscard]] RoomOptions room_options(const Words& words) {
    RoomOptions o{.close_codes = yjs_close_codes()};
    words.take("save-after", o.save_after);
    words.take("unload-after", o.unload_after);
    words.take("client-bytes", o.client_bytes_max);
    words.take("frame-bytes", o.frame_bytes_max);
    words.take("rooms-max", o.rooms_max);
    o.clients_per_user_max = no_limit;
    return o;
}
/// All clients of a test come from one address.
[[nodiscard]] beast::ListenerOptions listener_options() {
    beast::ListenerOptions o;
    o.messages.too_large_code = yjs_close_codes().too_large;
    o.waiting_per_ip_max = 1'000;
    o.connections_per_ip_max = 20'000;
    o.upgrades_per_ip_and_minute = 1'000'000;
    o.rejections_per_ip_and_minute = 1'000'000;
    o.backlog = 1'024;
    return o;
}

int fails(const std::string& why) {
    std::fprintf(stderr, "room_server: %s\n", why.c_str());
    return 2;
}

/// Opens the storage.   Returns: or the reason why not.
#if defined(ROOM_SERVER_MEMORY)
Result<MemoryRooms, std::string> stored_rooms(const Words&) { return MemoryRooms{}; }
#elif defined(ROOM_SERVER_SQLITE)
Result<sqlite::Rooms, std::string> stored_rooms(const Words& words) {
    auto rooms = sqlite::Rooms::open(words.dir + "/boards.db");
    if (!rooms) return rooms.error().message();
    return std::move(*rooms);
}
#elif defined(ROOM_SERVER_REDIS)
Result<redis::Rooms, std::string> stored_rooms(const Words& words) {
    redis::RoomsOptions options;
    options.socket = words.address;
    return redis::Rooms{options};
}
#elif defined(ROOM_SERVER_POSTGRES)
Result<postgres::Rooms, std::string> stored_rooms(const Words& words) {
    return postgres::Rooms{{.connection = words.address}};
}
#else
Result<posix::JournalRooms, std::string> stored_rooms(const Words& words) {
    auto log = posix::Journal::open(words.dir + "/log");
    if (!log) return log.error().message();
    auto rooms = posix::JournalRooms::open(words.dir + "/boards", std::move(*log));
    if (!rooms) return rooms.error().message();
    return std::move(*rooms);
}
#endif

template <class Stored>
int serve(const Words& words, Stored stored) {
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    std::map<std::string, Access> changed;
    RoomManager rooms{OnThread{std::move(stored)}, ByToken{&changed}, room_options(words),
                      App{&context}};
    loop.attach(rooms);
    rooms.start();

    std::function<beast::ListenerCounters()> counters;
    beast::ListenerOptions options = listener_options();
    options.pages = [&](const HttpRequest& request) -> HttpResponse {
        const std::string_view path{request.url};
        if (path == "/stats") return stats_page(rooms, counters());
        if (path.starts_with("/stats/")) return room_page(rooms, request.url.substr(7));
        if (!path.starts_with("/reload/")) return {.status = 404};
        const std::string output = request.url.substr(8);
        const auto first = output.find('/');
        const auto second = output.find('/', first + 1);
        if (second == std::string::npos) return {.status = 400};
        changed[output.substr(0, first)] =
            access_named(output.substr(first + 1, second - first - 1));
        return Json{}.say("asked", rooms.reauthorize(output.substr(second + 1))).page();
    };
    beast::AnyListener listener{
        loop,
        [&](beast::AnyAccepted client) {
            RoomRequest request = room_request(client.request(), "/ws/canvas/");
            if (client.request().target == "/hocuspocus") {
                rooms.accept(std::move(client), HocuspocusProtocol{}, std::move(request));
            } else {
                rooms.accept(std::move(client), YjsProtocol{}, std::move(request));
            }
        },
        options};
    counters = [&] { return listener.counters(); };
    std::uint16_t port = 0;
    words.take("port", port);
    if (const auto error = listener.listen({"127.0.0.1", port})) return fails(error.message());
    std::printf("port %d\n", listener.port());
    std::fflush(stdout);

    boost::asio::signal_set signals{context, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        listener.close();
        rooms.stop();
    });
    context.run();
    if (!rooms.observer().saved) return 1;
    std::printf("saved\n");
    return 0;
}

}  // namespace

int main(int count, char** output) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const auto words = words_of(count, output);
    if (!words) return fails("usage: room_server --dir DIR [--port PORT] [--OPTION NUMBER]...");
    std::error_code made;
    std::filesystem::create_directories(words->dir, made);
    if (made) return fails(words->dir + ": " + made.message());
    auto rooms = stored_rooms(*words);
    if (!rooms) return fails(rooms.error());
    return serve(*words, std::move(*rooms));
}
