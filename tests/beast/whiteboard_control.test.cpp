// SPDX-License-Identifier: MIT
// Goal: a command of the whiteboard example blocks neither the thread of its room server nor
// another command, so that rights are revoked while a backup runs. Method: a real socket, and a
// command that ends only after the server's thread has run a handler, or after the other command.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "../../examples/whiteboard/control.hpp"
#include "support/catch.hpp"
#include "support/sanitizer.hpp"

namespace {

std::string socket_path() {
    return (std::filesystem::temp_directory_path() / ("control." + std::to_string(::getpid())))
        .string();
}

/// During its lifetime, the process can open no more files.
class NoMoreFiles {
public:
    NoMoreFiles() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::open("/dev/null", O_RDONLY);
        ::close(next);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(next);
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    NoMoreFiles(const NoMoreFiles&) = delete;
    NoMoreFiles& operator=(const NoMoreFiles&) = delete;
    ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("Control waits while the process has no free descriptor, and then continues",
          "[beast][whiteboard_control][regression]") {
    // UndefinedBehaviorSanitizer opens a pipe to read an object's type. Without a descriptor it
    // reports an error that is none.
    if (belay_test::sanitized) return;
    Control control{[](const std::string& line) { return "ok: " + line; }};
    const std::string path = socket_path();
    REQUIRE_FALSE(control.listen(path));
    const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(client >= 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    {
        const NoMoreFiles limit;
        REQUIRE(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                0);
        // A loop that tries again at once uses all of this time.
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
        const std::clock_t used = std::clock();
        while (std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        }
        CHECK(std::clock() - used < CLOCKS_PER_SEC / 4);
    }
    REQUIRE(::send(client, "late\n", 5, 0) == 5);
    std::string answer(9, ' ');
    CHECK(::recv(client, answer.data(), answer.size(), MSG_WAITALL) == 9);
    CHECK(answer == "ok: late\n");
    ::close(client);
    control.close();
}

TEST_CASE("Control answers a command while the server's thread continues",
          "[beast][whiteboard_control][unit]") {
    boost::asio::io_context server;
    auto work = boost::asio::make_work_guard(server);
    std::promise<void> begun;
    std::promise<void> served;
    const auto server_thread = std::this_thread::get_id();
    Control control{[&](const std::string& line) -> std::string {
        if (std::this_thread::get_id() == server_thread) return "the server's thread runs it";
        if (line == "again") return "ok: again";
        begun.set_value();
        served.get_future().wait();
        return "ok: " + line;
    }};
    const std::string path = socket_path();
    REQUIRE_FALSE(control.listen(path));

    std::string answers[2];
    std::thread user{[&] {
        for (const auto& [at, line] : {std::pair{0, "wait"}, std::pair{1, "again"}}) {
            boost::system::error_code error;
            answers[at] = ask_control(path, error, line);
            if (error) answers[at] = error.message();
        }
        boost::asio::post(server, [&] { work.reset(); });
    }};
    begun.get_future().wait();
    boost::asio::post(server, [&] { served.set_value(); });
    server.run();
    user.join();
    CHECK(answers[0] == "ok: wait");
    CHECK(answers[1] == "ok: again");
    control.close();
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("Control answers a command while a long one runs",
          "[beast][whiteboard_control][regression]") {
    std::promise<void> begun;
    std::promise<void> answered;
    Control control{[&](const std::string& line) -> std::string {
        if (line != "long") return "ok: " + line;
        begun.set_value();
        const auto end = answered.get_future().wait_for(std::chrono::seconds{10});
        return end == std::future_status::ready ? "ok: long" : "the other command waits";
    }};
    const std::string path = socket_path();
    REQUIRE_FALSE(control.listen(path));
    std::string last;
    std::thread user{[&] {
        boost::system::error_code ignored;
        last = ask_control(path, ignored, "long");
    }};
    begun.get_future().wait();
    boost::system::error_code error;
    CHECK(ask_control(path, error, "short") == "ok: short");
    answered.set_value();
    user.join();
    CHECK(last == "ok: long");
}

TEST_CASE("Control closes after the command that it runs", "[beast][whiteboard_control][unit]") {
    std::promise<void> begun;
    std::promise<void> end;
    bool ended = false;
    const std::string path = socket_path();
    std::thread user;
    {
        Control control{[&](const std::string&) -> std::string {
            begun.set_value();
            end.get_future().wait();
            ended = true;
            return "ok: late";
        }};
        REQUIRE_FALSE(control.listen(path));
        user = std::thread{[&] {
            boost::system::error_code ignored;
            ask_control(path, ignored, "wait");
        }};
        begun.get_future().wait();
        end.set_value();
    }
    CHECK(ended);
    user.join();
}

TEST_CASE("Control reports a path that a socket cannot have", "[beast][whiteboard_control][unit]") {
    Control control{[](const std::string&) { return std::string{}; }};
    CHECK(control.listen(std::string(200, 'a')) == boost::asio::error::name_too_long);
    control.close();
}
