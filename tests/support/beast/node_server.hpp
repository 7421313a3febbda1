// SPDX-License-Identifier: MIT
/// \file tests/support/beast/node_server.hpp
/// NodeServer: a WebSocket server that is not part of belay, tests/node/ws/server.js, for one test.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/server_process.hpp"

#if !defined(BELAY_NODE_DIRECTORY)
#    define BELAY_NODE_DIRECTORY "tests/node/ws"
#endif

namespace belay_test {

/// Listens on free ports.
class NodeServer : public ServerProcess {
public:
    /// Whether it can run here; prints the reason if not.
    static bool is_here() {
        const std::string script =
            beside_program(BELAY_NODE_DIRECTORY) + "/node_modules/ws/index.js";
        const bool here = ::access(script.c_str(), R_OK) == 0 &&
                          std::system("node --version >/dev/null 2>&1") == 0;
        if (!here)
            std::puts("SKIP: no node, or tests/node/ws has no node_modules (tests/run makes it)");
        return here;
    }

    explicit NodeServer(std::vector<std::string> arguments = {})
        : ServerProcess{words(std::move(arguments))} {
        const std::string ready = line_with("ready ");
        REQUIRE(std::sscanf(ready.c_str(), "ready %hu %hu", &port, &proxy_port) == 2);
    }

    void hang_up() const { send_command("hang up"); }
    /// Sends a text message to all.
    void send_text() const { send_command("text"); }

    unsigned short port = 0;
    unsigned short proxy_port = 0;

private:
    static std::vector<std::string> words(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(),
                         {"node", beside_program(BELAY_NODE_DIRECTORY) + "/server.js"});
        return arguments;
    }
};

}  // namespace belay_test
