// SPDX-License-Identifier: MIT
// A whiteboard: boards that several people draw on at once, and the page that they do it with.
//   example_whiteboard PORT WEB DATA [CONNECTION]
//   example_whiteboard --permit DATA USER BOARD LEVEL
//   example_whiteboard --backup DATA FOLDER
//   example_whiteboard --restore DATA FOLDER BOARD
// PORT 0 takes a free one. WEB has the page, DATA will have the boards, the rights and the secret.
// With CONNECTION, such as "host=db dbname=boards", the boards are in PostgreSQL instead of DATA.
// The other forms are commands for the server that has DATA open:
// - --permit changes what a user may do on a board: LEVEL is edit, comment, view or none. It takes
//   effect within a second, also for clients that have the board open. So does what another program
//   changes in DATA/rights.db.
// - --backup copies all boards into FOLDER, which must be new.
// - --restore replaces one board by its copy.
#include <belay/asio/boost.hpp>
#include <belay/beast/any_listener.hpp>
#include <belay/beast/listener_metrics.hpp>
#include <belay/core/tee.hpp>
#include <belay/metrics.hpp>
#include <belay/openssl/jwt_authorizer.hpp>
#include <belay/posix.hpp>
#include <belay/posix/journal_rooms.hpp>
#include <belay/room.hpp>
#include <belay/room/audited.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/room_metrics.hpp>
#ifdef WHITEBOARD_POSTGRES
#    include <belay/postgres/rooms.hpp>
#endif
#include "boards_on_thread.hpp"

#include <boost/asio/signal_set.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include <nlohmann/json.hpp>

#include "backup.hpp"
#include "control.hpp"
#include "log.hpp"
#include "tokens.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// After a failed flush, it is unknown what the medium has. The supervisor starts the program
/// again.
void end_if_must_reopen(const std::error_code& error) {
    if (error == QueueErrc::must_reopen) std::_Exit(75);
}

struct App {
    boost::asio::io_context* context;
    bool saved = false;
    EventLog::Observer log;
    std::set<std::string> boards{};  // in memory
    void on_room_event(const auto&, const RoomEvent& event) {
        if (event.kind == RoomEvent::Kind::loaded) boards.insert(event.room_id);
        if (event.kind == RoomEvent::Kind::unloaded) boards.erase(event.room_id);
    }
    void on_rejected(const RoomRejection& rejection) { log.on_rejected(rejection); }
    void on_room_failed(const RoomFailure& failure) {
        log.on_room_failed(failure);
        end_if_must_reopen(failure.error.code);
    }
    void on_stopped(std::error_code error) {
        saved = !error;
        if (error) {
            std::fprintf(stderr,
                         "not every board was saved: %s; shared changes are in the log, and are "
                         "saved after the next start\n",
                         error.message().c_str());
        }
        context->stop();
    }
};

Access access_of(whiteboard::Boards& boards, const std::string& board, const std::string& user) {
    const auto found = boards.access({.room_id = board, .user = user});
    return found && *found ? **found : Access::none;
}

/// The files of the page, with their types; or which one is missing.
Result<std::map<std::string, HttpResponse>, std::string> page_in(const std::string& web) {
    constexpr const char* files[][3] = {{"/", "/index.html", "text/html; charset=utf-8"},
                                        {"/style.css", "/style.css", "text/css"},
                                        {"/main.js", "/dist/main.js", "text/javascript"}};
    std::map<std::string, HttpResponse> page;
    for (const auto& [path, name, type] : files) {
        std::ifstream file{web + name, std::ios::binary};
        HttpResponse& response = page[path];
        response = {.status = 200,
                    .headers = {{"Content-Type", type},
                                {"Cache-Control", "no-cache"},
                                {"Referrer-Policy", "no-referrer"},
                                {"X-Content-Type-Options", "nosniff"}}};
        response.body.assign(std::istreambuf_iterator<char>{file}, {});
        if (response.body.empty()) {
            return web + name +
                   " of the page is missing or empty: examples/whiteboard/run builds the page";
        }
    }
    return page;
}

/// All that the rooms and the listener count, for Prometheus.
HttpResponse metrics_answer(const auto& rooms, const beast::ListenerCounters& listener_counters) {
    metrics::Page page;
    page.add("whiteboard", rooms);
    page.add("whiteboard", listener_counters);
    HttpResponse answer{
        .status = 200,
        .headers = {
            {"Content-Type", std::string{metrics::content_type(metrics::Format::prometheus)}}}};
    to_prometheus(answer.body, page);
    return answer;
}

int fails(const std::string& why) {
    std::fprintf(stderr, "whiteboard: %s\n", why.c_str());
    return 2;
}

/// The database of the rights. A command waits a second at most while another program holds a lock.
Result<whiteboard::Boards, std::string> rights_in(const std::string& path,
                                                  Duration lock_within = 1s) {
    auto boards = whiteboard::Boards::open(path, {.lock_within = lock_within});
    if (!boards) return boards.error().message();
    return std::move(*boards);
}

/// The same, with the rights of the demo's users.
Result<whiteboard::Boards, std::string> boards_in(const std::string& path) {
    auto boards = rights_in(path);
    if (!boards) return boards.error();
    // Rights that were granted or revoked since the first start stay as they are.
    const auto known = boards->access({.room_id = "demo", .user = "ada"});
    if (!known) return path + ": " + known.error().message();
    if (*known) return std::move(*boards);
    for (const std::error_code error :
         {boards->set_owner({.room_id = "demo", .user = "ada"}),
          boards->permit({.room_id = "demo", .user = "bob"}, Access::edit),
          boards->permit({.room_id = "demo", .user = "eve"}, Access::view)}) {
        if (error) return path + ": " + error.message();
    }
    return std::move(*boards);
}

/// Answers with the rights that the bearer of a request has on a board, so that the page shows its
/// tools or not. With the epoch of the board, the page never brings back what a restore replaced.
HttpResponse access_answer(const HttpRequest& request, whiteboard::Boards& boards,
                           const jwt::Verifier& verifier, const auto& rooms) {
    const RoomRequest asked = room_request({.target = request.url}, "/access/");
    const std::string* const bearer = request.headers.find("Authorization");
    const bool has_token = bearer != nullptr && bearer->starts_with("Bearer ");
    const auto who =
        verifier.verify(has_token ? bearer->substr(7) : std::string{}, SystemClock{}.now());
    if (!who) return {.status = who.error() == jwt::Errc::not_verified ? 503 : 401};
    const auto found = boards.access({.room_id = asked.room_id, .user = who->subject});
    // The page keeps the right that it knows.
    if (!found) return {.status = 503};
    const Access access = found->value_or(Access::none);
    const auto board = access == Access::none ? std::nullopt : rooms.stats(asked.room_id);
    const nlohmann::json answer{{"user", who->subject},
                                {"access", std::string{to_string(access)}},
                                {"epoch", board ? board->epoch : std::string{}}};
    return {.status = 200,
            .headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
            .body = answer.dump()};
}

/// The words of a command, which have tabs between them.
std::vector<std::string> words_of(const std::string& line) {
    std::vector<std::string> words(1);
    for (const char c : line) c == '\t' ? words.emplace_back() : words.back() += c;
    return words;
}

/// Changes what a user may do on a board.   Returns: what was done, after "ok: ", or why not.
std::string permit(const std::string& user, const std::string& board, const std::string& level,
                   whiteboard::Boards& boards) {
    for (const Access access : {Access::none, Access::view, Access::comment, Access::edit}) {
        if (level != to_string(access)) continue;
        if (const auto error = boards.permit({.room_id = board, .user = user}, access)) {
            end_if_must_reopen(error);
            const bool unknown = error == RoomErrc::unknown_room;
            return unknown ? "there is no board " + board + "; use the board demo"
                           : error.message();
        }
        if (access_of(boards, board, user) != access) {
            return user + " owns " + board + ", and an owner can always edit";
        }
        // The server notices the change, as that of any program.
        return "ok: " + user + (access == Access::none ? " may not see " : " may " + level + " ") +
               board + " from now on";
    }
    return "'" + level + "' is not a level; use edit, comment, view or none";
}

/// Runs the commands of the Control, on its threads. A change of rights waits for no backup.
class Commands {
public:
    Commands(whiteboard::Boards& boards, auto& copies)
        : boards_{boards},
          back_up_{[&copies](const std::string& folder) { return copies.back_up(folder); }},
          restore_{[&copies](const std::string& folder, const std::string& board) {
              return copies.restore(folder, board);
          }} {}

    /// Runs a command, and prints the answer, too.   Returns: as permit.
    std::string run(const std::string& line) {
        const std::string answer = answer_to(words_of(line));
        std::printf("%s\n", answer.c_str());
        std::fflush(stdout);
        return answer;
    }

private:
    std::string answer_to(const std::vector<std::string>& words) {
        if (words.size() == 4 && words[0] == "--permit") {
            const std::lock_guard one{permits_};
            return permit(words[1], words[2], words[3], boards_);
        }
        const bool backs_up = words.size() == 2 && words[0] == "--backup";
        const bool restores = words.size() == 3 && words[0] == "--restore";
        if (!backs_up && !restores) return "the server does not have this command";
        // A second one would take the other thread of the Control.
        const std::unique_lock one{copies_, std::try_to_lock};
        if (!one) return "another backup, or a restore, is under way: try again when it has ended";
        return backs_up ? back_up_(words[1]) : restore_(words[1], words[2]);
    }

    whiteboard::Boards& boards_;
    std::function<std::string(const std::string&)> back_up_;
    std::function<std::string(const std::string&, const std::string&)> restore_;
    std::mutex permits_;
    std::mutex copies_;
};

void print_addresses(std::uint16_t port, const std::string& secret) {
    std::printf(
        "the board for ada, who owns it, for bob, who may edit, and for eve, who may view:\n");
    for (const char* user : {"ada", "bob", "eve"}) {
        std::printf("  http://127.0.0.1:%d/?board=demo#token=%s\n", port,
                    token_of(user, secret).c_str());
    }
    std::fflush(stdout);
}

int fails_to_listen(std::uint16_t port, const std::error_code& error) {
    const bool taken = error == std::errc::address_in_use;
    return fails("127.0.0.1:" + std::to_string(port) + ": " + error.message() +
                 (taken ? ": another program uses this port; choose another one" : ""));
}

/// Runs, and calls `stop` at SIGINT or SIGTERM.
void run_until_signal(boost::asio::io_context& context, const std::function<void()>& stop) {
    boost::asio::signal_set signals{context, SIGINT, SIGTERM};
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (!error) stop();
    });
    context.run();
}

/// Checks the clients of a board again, or of all boards. Their pages request their new rights, and
/// show their tools or not.
void check_again(auto& rooms, const std::string& board) {
    constexpr std::byte rights_changed[]{std::byte{100}};
    // A copy, because the observer may change it meanwhile.
    const std::set<std::string> boards = board.empty() ? rooms.observer().boards : std::set{board};
    for (const std::string& each : boards) rooms.broadcast(each, rights_changed);
    rooms.reauthorize(board);
}

std::string path_of(const HttpRequest& request) {
    return request.url.substr(0, request.url.find('?'));
}

/// Answers a request for a file of the page, or for the rights on a board.
HttpResponse page_answer(const HttpRequest& request,
                         const std::map<std::string, HttpResponse>& page,
                         whiteboard::Boards& boards, const jwt::Verifier& verifier,
                         const auto& rooms) {
    const std::string path = path_of(request);
    if (const auto found = page.find(path); found != page.end()) return found->second;
    if (path.starts_with("/access/")) return access_answer(request, boards, verifier, rooms);
    return {.status = 404};
}

void rights_failed(EventLog& log, const std::error_code& error) {
    log.on_rights_failed(error);
    end_if_must_reopen(error);
}

/// Serves until SIGINT or SIGTERM. `stored` has the boards.   Returns: the exit code.
template <class Stored>
int serve(std::uint16_t port, const std::map<std::string, HttpResponse>& page,
          const std::string& data, whiteboard::Boards& boards, Stored stored) {
    const std::string secret = secret_in(data + "/secret");
    if (secret.empty()) return fails(data + "/secret: the file can be neither read nor created");
    auto verifier = jwt::Verifier::make({}, {{.material = secret}});  // of the rooms
    const auto at_pages = jwt::Verifier::make({}, {{.material = secret}});
    if (!verifier) return fails(verifier.error().message());
    if (!at_pages) return fails(at_pages.error().message());
    auto of_rooms = rights_in(data + "/rights.db", 5s);
    if (!of_rooms) return fails(of_rooms.error());
    // Commands have threads of their own, because they may wait for another program's lock.
    auto of_commands = rights_in(data + "/rights.db");
    if (!of_commands) return fails(of_commands.error());
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    EventLog log;
    // The rights are checked again after any program has changed the database.
    std::function<void(const std::string& board)> on_changed;
    whiteboard::Boards::OnThread checks{
        std::move(*of_rooms),
        {.on_changed =
             [&](std::string_view board) {
                 boost::asio::post(context, [&, id = std::string{board}] { on_changed(id); });
             },
         .on_failed = [&](const std::error_code& error) { rights_failed(log, error); }}};
    const auto rights = [&](const jwt::Claims& who, const RoomRequest& request,
                            Completion<std::optional<Access>> answer) {
        checks.access({.room_id = request.room_id, .user = who.subject}, std::move(answer));
    };
    // A client whose row cannot be written is not admitted.
    Audited audited{jwt::Authorizer{std::move(*verifier), rights}, checks.audit(), SystemClock{}};
    Tee rejections{log.observer(), audited.rejections()};  // of the listener
    RoomManager rooms{OnThread{std::move(stored)}, std::move(audited),
                      RoomOptions{.close_codes = yjs_close_codes()},
                      App{.context = &context, .log = log.observer()}};
    loop.attach(rooms);
    rooms.start();
    on_changed = [&](const std::string& board) { check_again(rooms, board); };
    // At 1009, a client would connect again and send the same message, for ever.
    beast::ListenerOptions options{.messages = {.too_large_code = yjs_close_codes().too_large}};
    std::function<beast::ListenerCounters()> listener_counters;
    options.pages = [&](const HttpRequest& request) -> HttpResponse {
        if (path_of(request) == "/metrics") return metrics_answer(rooms, listener_counters());
        return page_answer(request, page, boards, *at_pages, rooms);
    };
    const auto accept = [&](beast::AnyAccepted client) {
        RoomRequest request = room_request(client.request(), "/ws/canvas/");
        rooms.accept(std::move(client), YjsProtocol{}, std::move(request));
    };
    beast::AnyListener listener{loop, accept, options, rejections};
    listener_counters = [&] { return listener.counters(); };
    if (const auto error = listener.listen({"127.0.0.1", port}))
        return fails_to_listen(port, error);
    std::atomic<bool> stops = false;
    BoardCopies copies{context, rooms, stops, data};
    Commands commands{*of_commands, copies};
    Control control{[&](const std::string& line) { return commands.run(line); }};
    if (const auto error = control.listen(data + "/control"))
        return fails(data + "/control: " + error.message());
    print_addresses(listener.port(), secret);
    run_until_signal(context, [&] {
        stops = true;
        listener.close();
        control.close();
        rooms.stop();
    });
    // Otherwise the destructors would wait for a disk that does not answer.
    if (!rooms.observer().saved) std::_Exit(1);
    return 0;
}

/// Reports the restores that were not confirmed before the server ended.
void report_restores(const std::string& data) {
    const auto notes = RestoreNotes{data}.all();
    if (!notes) {
        std::fprintf(
            stderr,
            "whiteboard: %s/restoring cannot be read (%s), so restores that have not ended "
            "are not reported\n",
            data.c_str(), notes.error().message().c_str());
        return;
    }
    for (const auto& [board, folder] : *notes) {
        std::fprintf(stderr,
                     "whiteboard: the restore of %s from %s was not confirmed: the board may be "
                     "empty, as it was before, or restored. Look at it. If you restore it again, "
                     "what was edited since is lost; if it is right, remove %s/restoring\n",
                     board.c_str(), folder.c_str(), data.c_str());
    }
}

/// Asks the server that has `data` open.   Returns: the exit code.
int ask(const std::string& data, const std::string& line) {
    boost::system::error_code error;
    const std::string answer = ask_control(data + "/control", error, line);
    if (error == boost::asio::error::eof || error == boost::asio::error::connection_reset)
        return fails(
            "the server ended before it answered; its next start reports what is not done");
    if (error) {
        return fails("no whiteboard serves " + data + " (" + error.message() +
                     "): start it first with examples/whiteboard/run");
    }
    if (!answer.starts_with("ok: ")) return fails(answer);
    std::printf("%s\n", answer.substr(4).c_str());
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments, arguments + count);
    if (count == 6 && words[1] == "--permit")
        return ask(words[2], words[1] + "\t" + words[3] + "\t" + words[4] + "\t" + words[5]);
    // The server may have another working directory.
    const auto absolute = [](const std::string& folder) {
        return std::filesystem::absolute(folder).string();
    };
    if (count == 4 && words[1] == "--backup")
        return ask(words[2], words[1] + "\t" + absolute(words[3]));
    if (count == 5 && words[1] == "--restore")
        return ask(words[2], words[1] + "\t" + absolute(words[3]) + "\t" + words[4]);
    char* end = nullptr;
    const unsigned long port =
        count == 4 || count == 5 ? std::strtoul(arguments[1], &end, 10) : 70'000;
    if (port > 65'535 || *end != '\0') {
        return fails(
            "usage: example_whiteboard PORT WEB DATA [CONNECTION], see examples/whiteboard/run");
    }
    const std::string data = arguments[3];
    const auto page = page_in(arguments[2]);
    if (!page) return fails(page.error());
    std::error_code made;
    std::filesystem::create_directories(data, made);
    if (made) return fails(data + ": " + made.message());
    if (const auto demo = boards_in(data + "/rights.db"); !demo) return fails(demo.error());
    // For the page, which asks on the thread of the server: no lock may delay it.
    auto boards = rights_in(data + "/rights.db", 0s);
    if (!boards) return fails(boards.error());
    const auto serve_with = [&](auto stored) {
        report_restores(data);
        return serve(static_cast<std::uint16_t>(port), *page, data, *boards, std::move(stored));
    };
    int code = 0;
    if (count == 5) {
#ifdef WHITEBOARD_POSTGRES
        const postgres::RoomsOptions options{.connection = words[4]};
        if (!options.check().empty()) return fails(std::string{options.check()});
        code = serve_with(postgres::Rooms{options});
#else
        return fails("this whiteboard has no PostgreSQL: install libpq-dev, and build it again");
#endif
    } else {
        auto rooms = rooms_in(data);
        if (!rooms) return fails(rooms.error());
        code = serve_with(std::move(*rooms));
    }
    if (code == 0) std::printf("stopped; everything is saved\n");
    return code;
}
