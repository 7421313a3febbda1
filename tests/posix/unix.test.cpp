// SPDX-License-Identifier: MIT
// Goal: both ends of a Unix domain socket work over each kind of path, and no file of another
// server is removed. Method: real sockets, files and processes. check::transport checks both ends
// in link/transport_check.test.cpp.
#include <belay/posix/tcp.hpp>

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <list>
#include <optional>

#include <belay/link/framings.hpp>
#include <belay/posix/listener.hpp>

#include "support/child_process.hpp"
#include "support/posix/echo_server.hpp"
#include "support/posix/tcp_rig.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using namespace belay_test;
using posix::UnixErrc;
using posix::UnixPath;

namespace {

/// A supervised posix::Unix.
struct UnixRig {
    explicit UnixRig(const UnixPath& path)
        : link{posix::Unix{loop, path}, tcp_policy(), SupervisorOptions{}, std::ref(app)} {
        loop.attach(link);
        link.start();
    }
    void until_state(LinkState state) {
        REQUIRE(loop.run_until([&] { return app.state() == state; }));
    }
    /// The failure of its first attempt.
    Failure failure() {
        REQUIRE(loop.run_until([&] {
            return app.state() == LinkState::cooldown || app.state() == LinkState::failed;
        }));
        return app.failure;
    }
    void answers() {
        until_state(LinkState::connected);
        CHECK(link.send(to_bytes("x")) == SendResult::sent);
        REQUIRE(loop.run_until([&] { return app.messages.size() == 1; }));
        CHECK(app.messages.front() == "x");
    }
    posix::Loop<> loop{};
    TcpApp app{};
    TcpSupervisor<posix::Unix<>> link;
};

/// Runs in the loop of the rig that dials.
using UnixEcho = EchoServer<LengthPrefixed>;

/// A raw socket that is bound to a path, and listens if it is for streams.
struct RawUnix {
    explicit RawUnix(const std::string& path, int type = SOCK_STREAM, int backlog = 8)
        : fd{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)} {
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        path.copy(at.sun_path, sizeof at.sun_path - 1);
        REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
        if (type == SOCK_STREAM) REQUIRE(::listen(fd.get(), backlog) == 0);
    }
    posix::detail::Descriptor fd;
};

/// Listens, and drops all accepted connections.
struct UnixListener {
    struct Drop {
        void operator()(posix::Accepted<>) const {}
    };
    std::error_code listen(const std::string& path) { return listener.listen(UnixPath{path}); }
    posix::Loop<> loop{};
    posix::Listener<Drop> listener{loop, Drop{}};
};

/// Runs `work()` in a separate process, until this is destroyed.
struct UnixProcess : ChildProcess {
    template <class Work>
    explicit UnixProcess(Work work) {
        if (forks()) run_as_child(work);
    }
};

/// A path of exactly this many bytes.
std::string unix_path_of(const TemporaryDirectory& directory, std::size_t bytes) {
    std::string path = directory / "";
    REQUIRE(path.size() < bytes);
    return path.append(bytes - path.size(), 's');
}
constexpr std::size_t unix_path_max = sizeof sockaddr_un{}.sun_path - 1;

bool there_is(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0;
}

}  // namespace

TEST_CASE("Unix and a listener exchange messages over a path of any permitted length",
          "[posix][posix_unix][unit]") {
    const TemporaryDirectory directory;
    const std::string path =
        GENERATE(false, true) ? unix_path_of(directory, unix_path_max) : directory / "app.sock";
    UnixRig rig{UnixPath{path}};
    CHECK(rig.link.transport().endpoint() == UnixPath{path});
    {
        UnixEcho server{rig.loop, UnixPath{path}};
        CHECK(server.port() == 0);
        rig.answers();
    }
    CHECK_FALSE(there_is(path));
}

TEST_CASE("A path that is longer than the system permits is an error, and is not truncated",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    const std::string path = unix_path_of(directory, unix_path_max + 1);
    UnixRig rig{UnixPath{path}};
    CHECK(rig.failure() == Failure::from(UnixErrc::path_too_long));
    CHECK(rig.app.failure.cause == Cause::permanent);
    UnixListener server;
    CHECK(server.listen(path) == UnixErrc::path_too_long);
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("A path that is empty or contains a NUL is an error", "[posix][posix_unix][fault]") {
    const std::string path =
        GENERATE(std::string{}, std::string{"/tmp/a\0b", 8}, std::string{"\0a", 2});
    UnixRig rig{UnixPath{path}};
    CHECK(rig.failure() == Failure::from(UnixErrc::path_invalid));
    UnixListener server;
    CHECK(server.listen(path) == UnixErrc::path_invalid);
}

TEST_CASE("Each path without a server is refused, with its own reason",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    const std::string path = directory / "app.sock";
    SECTION("no file: the server may start later") {
        UnixRig rig{UnixPath{path}};
        CHECK(rig.failure().cause == Cause::refused);
        CHECK(rig.failure().error() == std::errc::no_such_file_or_directory);
    }
    SECTION("a stale socket") {
        { const RawUnix dead{path}; }
        UnixRig rig{UnixPath{path}};
        CHECK(rig.failure().cause == Cause::refused);
        CHECK(rig.failure().error() == std::errc::connection_refused);
    }
    SECTION("a file") {
        std::ofstream{path} << "kept";
        UnixRig rig{UnixPath{path}};
        CHECK(rig.failure() == Failure::from(UnixErrc::not_a_stream_socket));
    }
    SECTION("a directory") {
        UnixRig rig{UnixPath{directory.path()}};
        CHECK(rig.failure() == Failure::from(UnixErrc::not_a_stream_socket));
    }
    SECTION("a socket for datagrams") {
        const RawUnix other{path, SOCK_DGRAM};
        UnixRig rig{UnixPath{path}};
        CHECK(rig.failure() == Failure::from(UnixErrc::not_a_stream_socket));
    }
}

TEST_CASE("A server whose queue of connections is full is overloaded",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    const std::string path = directory / "app.sock";
    const RawUnix busy{path, SOCK_STREAM, 0};
    std::vector<std::unique_ptr<UnixRig>> clients;
    Failure failure;
    while (failure.cause == Cause::none) {
        clients.push_back(std::make_unique<UnixRig>(UnixPath{path}));
        UnixRig& rig = *clients.back();
        REQUIRE(rig.loop.run_until([&] {
            return rig.app.state() == LinkState::connected ||
                   rig.app.state() == LinkState::cooldown;
        }));
        failure = rig.app.failure;
    }
    CHECK(failure.cause == Cause::overloaded);
}

TEST_CASE("Without permission to write to the socket, a client is forbidden",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
    if (!can_drop_privileges(directory.path())) return;
    const std::string path = directory / "app.sock";
    UnixListener server;
    REQUIRE_FALSE(server.listen(path));
    REQUIRE(::chmod(path.c_str(), 0) == 0);
    CHECK(in_child_without_privileges([&] {
        UnixRig rig{UnixPath{path}};
        return rig.failure().cause == Cause::forbidden;
    }));
}

TEST_CASE("Listener::listen replaces the socket of a server that was killed, and clients reconnect",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    const std::string path = directory / "app.sock";
    std::optional<UnixProcess> killed{std::in_place, [&] {
                                          posix::Loop<> loop;
                                          UnixEcho server{loop, UnixPath{path}};
                                          loop.run();
                                          return 0;
                                      }};
    UnixRig rig{UnixPath{path}};
    rig.answers();
    killed.reset();
    rig.until_state(LinkState::cooldown);
    CHECK(there_is(path));
    rig.app.messages.clear();
    UnixEcho next{rig.loop, UnixPath{path}};
    rig.answers();
}

TEST_CASE("Listener::listen never replaces a live server or another file",
          "[posix][posix_unix][fault]") {
    const TemporaryDirectory directory;
    const std::string path = directory / "app.sock";
    UnixListener server;
    SECTION("a live server") {
        UnixRig rig{UnixPath{path}};
        UnixEcho live{rig.loop, UnixPath{path}};
        CHECK(server.listen(path) == std::errc::address_in_use);
        rig.answers();
    }
    SECTION("a live server whose queue is full") {
        const RawUnix live{path, SOCK_STREAM, 0};
        std::vector<std::unique_ptr<UnixRig>> clients;
        do {
            clients.push_back(std::make_unique<UnixRig>(UnixPath{path}));
            run_once(clients.back()->loop);
            run_once(clients.back()->loop);
        } while (clients.back()->app.state() == LinkState::connected);
        CHECK(server.listen(path) == std::errc::address_in_use);
        CHECK(there_is(path));
    }
    SECTION("a socket for datagrams") {
        const RawUnix live{path, SOCK_DGRAM};
        CHECK(server.listen(path) == std::errc::address_in_use);
        CHECK(there_is(path));
    }
    SECTION("a file") {
        std::ofstream{path} << "kept";
        CHECK(server.listen(path) == UnixErrc::not_a_stream_socket);
        std::string text;
        std::ifstream{path} >> text;
        CHECK(text == "kept");
    }
    SECTION("a link to a stale socket") {
        { const RawUnix dead{directory / "dead"}; }
        std::filesystem::create_symlink("dead", path);
        CHECK(server.listen(path) == UnixErrc::not_a_stream_socket);
        CHECK(std::filesystem::is_symlink(path));
    }
    SECTION("a directory that does not exist") {
        CHECK(server.listen(directory / "none/app.sock") == std::errc::no_such_file_or_directory);
    }
}

TEST_CASE("A listener removes its own socket file, and no other one", "[posix][posix_unix][unit]") {
    const TemporaryDirectory directory;
    const std::string path = directory / "app.sock";
    std::optional<UnixListener> server{std::in_place};
    REQUIRE_FALSE(server->listen(path));
    SECTION("at close") { server->listener.close(); }
    SECTION("when it is destroyed") { server.reset(); }
    SECTION("when it listens elsewhere") {
        REQUIRE_FALSE(server->listen(directory / "other.sock"));
        CHECK(there_is(directory / "other.sock"));
    }
    SECTION("when it listens at the same path again") {
        REQUIRE_FALSE(server->listen(path));
        CHECK(there_is(path));
        server->listener.close();
    }
    SECTION("not if another server took over the path") {
        std::filesystem::remove(path);
        UnixListener next;
        REQUIRE_FALSE(next.listen(path));
        server.reset();
        CHECK(there_is(path));
        next.listener.close();
    }
    SECTION("not if a file is in its place") {
        std::filesystem::remove(path);
        std::ofstream{path} << "kept";
        server.reset();
        CHECK(there_is(path));
        std::filesystem::remove(path);
    }
    CHECK_FALSE(there_is(path));
}

TEST_CASE("Exactly one of several servers that start over a stale socket listens",
          "[posix][posix_unix][fault]") {
    constexpr int servers = 6;
    for (int round = 0; round < 15; ++round) {
        const TemporaryDirectory directory;
        const std::string path = directory / "app.sock";
        { const RawUnix dead{path}; }
        // The children begin when the gate closes, and end with the test.
        int gate[2];
        int results[2];
        REQUIRE(::pipe(gate) == 0);
        REQUIRE(::pipe(results) == 0);
        std::list<UnixProcess> children;
        for (int i = 0; i < servers; ++i) {
            children.emplace_back([&]() -> int {
                ::close(gate[1]);
                char c = 0;
                static_cast<void>(!::read(gate[0], &c, 1));
                UnixListener server;
                const std::error_code error = server.listen(path);
                c = !error ? 'l' : error == std::errc::address_in_use ? 'u' : 'e';
                if (::write(results[1], &c, 1) != 1) return 1;
                for (;;) ::pause();
            });
        }
        ::close(gate[1]);
        std::string all(servers, '\0');
        for (char& c : all) REQUIRE(::read(results[0], &c, 1) == 1);
        CHECK(std::count(all.begin(), all.end(), 'l') == 1);
        CHECK(std::count(all.begin(), all.end(), 'u') == servers - 1);
        UnixRig rig{UnixPath{path}};
        rig.until_state(LinkState::connected);
        children.clear();
        ::close(gate[0]);
        ::close(results[0]);
        ::close(results[1]);
    }
}

#if defined(__linux__)
TEST_CASE("An abstract name has no file, and ends with its socket", "[posix][posix_unix][unit]") {
    const UnixPath name{"@belay-test-" + std::to_string(::getpid())};
    CHECK(name.is_abstract());
    CHECK_FALSE(UnixPath{"@"}.is_abstract());
    CHECK_FALSE(UnixPath{"./@app"}.is_abstract());
    {
        UnixRig rig{name};
        UnixEcho server{rig.loop, name};
        UnixListener second;
        CHECK(second.listen(name.path) == std::errc::address_in_use);
        rig.answers();
        CHECK_FALSE(there_is(name.path));
    }
    UnixRig rig{name};
    CHECK(rig.failure().error() == std::errc::connection_refused);
    CHECK(rig.failure().cause == Cause::refused);
}
#endif
