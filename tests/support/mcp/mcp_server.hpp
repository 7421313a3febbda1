// SPDX-License-Identifier: MIT
/// \file tests/support/mcp/mcp_server.hpp
/// McpServer: the server of MCP's own SDK, tests/node/mcp/server.mjs, for one test.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/server_process.hpp"

#if !defined(BELAY_MCP_DIRECTORY)
#    define BELAY_MCP_DIRECTORY "tests/node/mcp"
#endif

namespace belay_test {

/// Listens on a free port, or on the given one, so that it can return there.
class McpServer : public ServerProcess {
public:
    /// Whether it can run here; prints the reason if not.
    static bool is_here() {
        const std::string sdk =
            beside_program(BELAY_MCP_DIRECTORY) + "/node_modules/@modelcontextprotocol/sdk";
        static const bool here =
            ::access(sdk.c_str(), R_OK) == 0 && std::system("node --version >/dev/null 2>&1") == 0;
        if (!here)
            std::puts("SKIP: no node, or tests/node/mcp has no node_modules (tests/run makes it)");
        return here;
    }

    /// A server that several tests use, because each start of node takes a second. It has the scenes
    /// of earlier tests.
    static McpServer& shared(bool as_json) {
        static std::unique_ptr<McpServer> servers[2];
        std::unique_ptr<McpServer>& server = servers[as_json ? 1 : 0];
        const std::vector<std::string> json{"--json"};
        if (!server)
            server = std::make_unique<McpServer>(as_json ? json : std::vector<std::string>{});
        static_cast<void>(server->requests());
        return *server;
    }

    explicit McpServer(std::vector<std::string> arguments = {})
        : ServerProcess{words(std::move(arguments))} {
        const std::string ready = line_with("ready ");
        REQUIRE(std::sscanf(ready.c_str(), "ready %hu", &port) == 1);
    }

    [[nodiscard]] std::string url() const {
        return "http://127.0.0.1:" + std::to_string(port) + "/mcp";
    }
    /// Sends a command, and waits until it is carried out. Earlier output is dropped.
    void order(const std::string& command) {
        send_command(command);
        line_with("done");
    }
    /// The requests since the last line that was read.
    std::vector<std::string> requests() {
        send_command("mark");
        std::vector<std::string> all;
        for (;;) {
            const std::string line = line_with("");
            if (line == "done") return all;
            if (line.starts_with("request ")) all.push_back(line.substr(8));
        }
    }

    unsigned short port = 0;

private:
    static std::vector<std::string> words(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(),
                         {"node", beside_program(BELAY_MCP_DIRECTORY) + "/server.mjs"});
        return arguments;
    }
};

}  // namespace belay_test
