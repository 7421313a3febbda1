// SPDX-License-Identifier: MIT
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// ---- the program: it calls the C library, and knows nothing of a world ----

constexpr int readings = 500;

using Ledger = std::vector<int>;  // the server's database: it outlives the server

void store(Ledger& ledger, int number, int fixes) {
    const bool known = !ledger.empty() && number <= ledger.back();
    if (fixes < 2 || !known) ledger.push_back(number);  // bug 2: a repetition is stored, too
}

void server_main(Ledger& ledger, int fixes) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(9000);
    bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    listen(listener, 16);
    std::map<int, std::string> guests;  // what has arrived of a line
    for (;;) {
        std::vector<pollfd> ready{{listener, POLLIN, 0}};
        for (const auto& [fd, in] : guests) ready.push_back({fd, POLLIN, 0});
        poll(ready.data(), ready.size(), -1);
        for (const pollfd& r : ready) {
            if (r.revents == 0) continue;
            if (r.fd == listener) {
                guests[accept(listener, nullptr, nullptr)];
                continue;
            }
            char c = 0;
            const bool is_open = recv(r.fd, &c, 1, 0) == 1;
            std::string& in = guests[r.fd];
            if (is_open && c != '\n') in += c;
            if (is_open && c == '\n') {
                store(ledger, std::stoi(in), fixes);
                in.clear();
            }
            if (is_open && (c != '\n' || send(r.fd, "stored\n", 7, MSG_NOSIGNAL) == 7)) continue;
            close(r.fd);
            guests.erase(r.fd);
        }
    }
}

int connect_to(const char* name, const char* port, int fixes) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(name, port, &hints, &found) != 0) return -1;
    const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    const timeval limit{.tv_sec = 3, .tv_usec = 0};
    if (fixes >= 3) {  // bug 3: a silent server goes unnoticed
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    const bool connected = connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (connected) return fd;
    close(fd);
    return -1;
}

// excerpt: begin
int client_main(int fixes) {  // sends readings 1 to 500, one after the other
    for (int sent = 0; sent < readings;) {
        const int fd = connect_to("server", "9000", fixes);
        while (fd != -1 && sent < readings) {
            const std::string line = std::to_string(sent + 1) + "\n";
            if (send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0) break;
            if (fixes < 1) ++sent;  // bug 1: sent is not stored
            char c = 0;
            while (recv(fd, &c, 1, 0) == 1 && c != '\n') {
            }
            if (c != '\n') break;
            if (fixes >= 1) ++sent;
        }
        if (fd != -1) close(fd);
        usleep(100'000);
    }
    return 0;
}
// excerpt: end

// ---- its test ----

#include <belay/libc_sim/program.hpp>  // in one source file of the test program
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>
using namespace belay;
using namespace std::chrono_literals;

sim::Report run(int fixes) {
    const sim::ExploreOptions options{.seeds = 100, .scenario = {.within = 3s}, .print = false};
    return sim::explore(options, [fixes](sim::World& world) {
        Ledger& ledger = world.make<Ledger>();
        // excerpt: begin
        bool& done = world.make<bool>(false);
        world.host("server",
                   [&](sim::Host& h) { return std::make_unique<sim::Program>(h, [&ledger, fixes] { server_main(ledger, fixes); }); });
        world.host("client",
                   [&](sim::Host& h) { return std::make_unique<sim::Program>(h, [&done, fixes] { done = client_main(fixes) == 0; }); });
        // excerpt: end
        world.run_for(3s);
        world.heal();
        if (!world.eventually("all is sent", 60s, [&] { return done; })) return false;
        world.run_for(1s);  // the last reading arrives
        const std::set<int> distinct{ledger.begin(), ledger.end()};
        return world.require("no reading is lost", distinct.size() == readings) &&
               world.require("no reading is stored twice", distinct.size() == ledger.size());
    });
}

int main() {
    for (int fixes = 0; fixes <= 3; ++fixes) {
        const sim::Report report = run(fixes);
        std::printf("%d fixes: %s\n", fixes, report ? "all seeds pass" : report.failing->property.c_str());
    }
}
