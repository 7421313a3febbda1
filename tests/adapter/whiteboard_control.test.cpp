// SPDX-License-Identifier: MIT
// Goal: a command of the whiteboard example does not block the thread of its room server. Method:
// a real socket, and a command that ends only after the server's thread has run a handler.
#include <unistd.h>

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

namespace {

std::string socket_path() {
    return (std::filesystem::temp_directory_path() / ("control." + std::to_string(::getpid())))
        .string();
}

}  // namespace

TEST_CASE("Control answers a command while the server's thread goes on",
          "[adapter][whiteboard_control][unit]") {
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

TEST_CASE("Control closes after the command that it runs", "[adapter][whiteboard_control][unit]") {
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

TEST_CASE("Control reports a path that a socket cannot have",
          "[adapter][whiteboard_control][unit]") {
    Control control{[](const std::string&) { return std::string{}; }};
    CHECK(control.listen(std::string(200, 'a')) == boost::asio::error::name_too_long);
    control.close();
}
