// SPDX-License-Identifier: MIT
// Goal: libcurl and hiredis, unmodified, run in a world with servers that are written by hand.
// Method: an hour of requests under faults. Each request succeeds, or fails with a clear error.
#include <belay/libc_sim/program.hpp>

#include <memory>
#include <string>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <vector>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace libc_sim_test {

namespace {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

/// The results of the requests of one world.
struct Results {
    int good = 0;
    int failed = 0;
    int wrong = 0;
};

/// Removes the first request from the received bytes, and returns its answer; empty if it is not
/// complete.
using Answer = std::string (*)(std::string& in);

/// A server for many clients, with one thread and poll().
void serve(Answer answer) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;  // the server is killed and started again
    REQUIRE(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(8080);
    REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(listen(listener, 16) == 0);
    std::vector<pollfd> entries{{listener, POLLIN, 0}};
    std::map<int, std::string> in;
    for (;;) {
        poll(entries.data(), entries.size(), -1);
        for (std::size_t i = entries.size(); i-- != 1;) {
            if (entries[i].revents == 0) continue;
            const int fd = entries[i].fd;
            char part[512];
            const ssize_t n = recv(fd, part, sizeof part, 0);
            if (n > 0) in[fd].append(part, static_cast<std::size_t>(n));
            const std::string out = n > 0 ? answer(in[fd]) : "";
            const auto size = static_cast<ssize_t>(out.size());
            if (n > 0 && send(fd, out.data(), out.size(), MSG_NOSIGNAL) == size) continue;
            close(fd);
            in.erase(fd);
            entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
        }
        if (entries[0].revents != 0) {
            entries.push_back({accept(listener, nullptr, nullptr), POLLIN, 0});
        }
    }
}

/// HTTP: the body is the path.
std::string answer_http(std::string& in) {
    const std::size_t end = in.find("\r\n\r\n");
    if (end == in.npos) return {};
    const std::size_t path = in.find(' ') + 1;
    const std::string body = in.substr(path, in.find(' ', path) - path);
    in.erase(0, end + 4);
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
/// Redis: ECHO of a text without line breaks.
std::string answer_redis(std::string& in) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    for (std::size_t end; lines.size() < 5 && (end = in.find("\r\n", begin)) != in.npos;) {
        lines.push_back(in.substr(begin, end - begin));
        begin = end + 2;
    }
    if (lines.size() < 5) return {};  // *2 $4 ECHO $n text
    in.erase(0, begin);
    return lines[3] + "\r\n" + lines[4] + "\r\n";
}

std::size_t keep_body(char* data, std::size_t size, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(data, size * count);
    return size * count;
}
/// Requests pages over a connection that libcurl keeps.
void fetch_pages(Results& results) {
    CURL* const curl = curl_easy_init();
    std::string body;
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 3000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    for (int i = 0;; ++i) {
        const std::string path = "/page/" + std::to_string(i);
        curl_easy_setopt(curl, CURLOPT_URL, ("http://10.0.0.1:8080" + path).c_str());
        body.clear();
        const bool done = curl_easy_perform(curl) == CURLE_OK;
        ++(!done ? results.failed : body == path ? results.good : results.wrong);
        sleep(5);
    }
}
/// Sends commands, and connects again after every error.
void send_commands(Results& results) {
    redisContext* redis = nullptr;
    for (int i = 0;; ++i) {
        const timeval limit{.tv_sec = 3, .tv_usec = 0};
        if (redis == nullptr) redis = redisConnectWithTimeout("10.0.0.1", 8080, limit);
        REQUIRE(redis != nullptr);
        if (redis->err == 0) redisSetTimeout(redis, limit);
        const std::string text = "text " + std::to_string(i);
        void* const found =
            redis->err == 0 ? redisCommand(redis, "ECHO %s", text.c_str()) : nullptr;
        const auto* const reply = static_cast<const redisReply*>(found);
        ++(reply == nullptr ? results.failed : reply->str == text ? results.good : results.wrong);
        freeReplyObject(found);
        if (redis->err != 0) redisFree(std::exchange(redis, nullptr));
        sleep(5);
    }
}

struct Outcome {
    Results results;
    std::uint64_t hash;
};

Outcome run(std::uint64_t seed, Answer answer, void (*client_main)(Results&)) {
    World world{belay::Seed{seed}};
    Results& results = world.make<Results>();
    Host& server = world.host("server", [answer](Host& h) {
        return std::make_unique<Program>(h, [answer] { serve(answer); });
    });
    Host& client = world.host("client", [&](Host& h) {
        return std::make_unique<Program>(h, [&] { client_main(results); });
    });
    world.network().cut_one_in(50);
    for (int minute = 1; minute < 60; ++minute) {
        const auto ms = belay::uniform_upto(world.bits(), 40'000);
        const auto time = std::chrono::minutes{minute} + std::chrono::milliseconds{ms};
        if (minute % 3 == 0) {
            world.at(time, [&] { world.network().partition(server, client); });
            world.at(time + 15s, [&] { world.network().heal_all(); });
        } else if (minute % 3 == 1) {
            Host& host = minute % 2 == 0 ? client : server;
            world.at(time, [&] { world.restart(host); });
        } else {
            world.at(time, [&] { world.pause(server); });
            world.at(time + 10s, [&] { world.resume(server); });
        }
    }
    world.run_for(1h);
    return {results, world.trace_hash()};
}

void check_an_hour(Answer answer, void (*client_main)(Results&)) {
    const Outcome first = run(1, answer, client_main);
    CHECK(first.results.good > 400);
    CHECK(first.results.failed > 20);
    CHECK(first.results.wrong == 0);
    for (int i = 0; i < 2; ++i) CHECK(run(1, answer, client_main).hash == first.hash);
    CHECK(run(2, answer, client_main).hash != first.hash);
}

}  // namespace

TEST_CASE("libcurl runs an hour in a world, and repeats", "[libc_sim][libc_sim][sim]") {
    // libcurl reads files and starts its library here, outside of the world.
    REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    check_an_hour(&answer_http, &fetch_pages);
}

TEST_CASE("hiredis runs an hour in a world, and repeats", "[libc_sim][libc_sim][sim]") {
    check_an_hour(&answer_redis, &send_commands);
}

}  // namespace libc_sim_test
