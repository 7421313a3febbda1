// SPDX-License-Identifier: MIT
// A client presents its token when it connects. It fetches one at its start, and presents the same
// one after a reconnect, when that has expired.
#include "programs.hpp"

namespace bugs {
namespace {

long seconds_now() {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

void issue_tokens() {
    serve_lines(listen_at(7000), [](Guest&, const std::string&) {
        return std::to_string(seconds_now() + 2);  // when the token expires
    });
}
void serve_admitted() {
    serve_lines(listen_at(9000), [](Guest& guest, const std::string& line) {
        if (line != "question") guest.is_admitted = std::stol(line) > seconds_now();
        return guest.is_admitted ? "answer" : "expired";
    });
}
void ask_with_token(int& answers, bool mended) {
    std::string token, answer;
    keep_connected("server", 9000, [&](int fd) {
        if (mended || token.empty()) {
            const int issuer = dial("issuer", 7000);
            const bool has_token = issuer >= 0 && ask(issuer, "token", token);
            if (issuer >= 0) close(issuer);
            if (!has_token) return token.clear(), false;
        }
        if (!ask(fd, token, answer) || answer == "expired") return false;
        while (answers < 300 && ask(fd, "question", answer)) {
            ++answers;
            rest(10ms);
        }
        return answers == 300;
    });
}

}  // namespace

bool reconnect_with_old_token(sim::World& world, bool mended) {
    int& answers = world.make<int>(0);
    run_program(world, "issuer", issue_tokens);
    run_program(world, "server", serve_admitted);
    run_program(world, "client", [&answers, mended] { ask_with_token(answers, mended); });
    world.run_for(4s);
    world.heal();
    return world.eventually("all is answered", 60s, [&] { return answers == 300; });
}

}  // namespace bugs
