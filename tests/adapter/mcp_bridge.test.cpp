// SPDX-License-Identifier: MIT
// Goal: the example of a bridge keeps a file and an MCP server in step, over an outage of the
// server, and exits cleanly. Method: the example's process, and the SDK's server.
#include <fstream>
#include <memory>
#include <sstream>

#include "e2e/process.hpp"
#include "support/adapter/mcp_server.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay_test;

namespace {

void write_scene(const std::string& path, const std::string& text) {
    // In one step, as editors do: the example may look at any time.
    std::ofstream{path + ".edited"} << text;
    REQUIRE(::rename((path + ".edited").c_str(), path.c_str()) == 0);
}
std::string scene_in(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("The MCP bridge keeps a file and a server in step over an outage",
          "[adapter][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    auto server = std::make_unique<McpServer>();
    const std::string port = std::to_string(server->port);
    write_scene(file, R"({"content": {"a": 1}})");
    e2e::Process example{{MCP_BRIDGE_BINARY, server->url(), file, "board"}};
    server->line_with(R"(pushed board {"content":{"a":1})");
    CHECK(example.prints("connected"));

    server->kill();
    write_scene(file, R"({"content": {"a": 2}})");
    CHECK(example.prints("disconnected: "));
    server = std::make_unique<McpServer>(std::vector<std::string>{"--port", port});
    // What was edited meanwhile, and nobody has touched since.
    server->line_with(R"(pushed board {"content":{"a":2})");

    server->order(R"(put board {"content":"from there","stamp":{"wall":"9000000000000000000",)"
                  R"("counter":0,"origin":"07000000000000000000000000000000"}})");
    CHECK(e2e::eventually([&] { return scene_in(file).find("from there") != std::string::npos; }));
    example.signal(SIGINT);
    server->line_with("request DELETE");
    CHECK(example.wait() == 0);
    CHECK(example.text().ends_with("ended\n"));
}

TEST_CASE("The MCP bridge exits cleanly without a server", "[adapter][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    auto server = std::make_unique<McpServer>();
    e2e::Process example{{MCP_BRIDGE_BINARY, server->url(), file, "board"}};
    CHECK(example.prints("connected"));
    server->freeze();
    write_scene(file, R"({"content": {"a": 1}})");
    CHECK(e2e::eventually([&] { return scene_in(file).find("stamp") != std::string::npos; }));
    example.signal(SIGTERM);
    CHECK(example.wait() == 0);
    CHECK(example.text().ends_with("ended\n"));
}

TEST_CASE("The MCP bridge reports invalid arguments", "[adapter][mcp_bridge][integration]") {
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    const auto refused = [](std::vector<std::string> words, const std::string& why) {
        words.insert(words.begin(), MCP_BRIDGE_BINARY);
        e2e::Process example{std::move(words)};
        CHECK(example.wait() == 2);
        CHECK(example.text().find(why) != std::string::npos);
    };
    refused({}, "usage: ");
    refused({"http://127.0.0.1:1/mcp"}, "usage: ");
    refused({"ftp://127.0.0.1/mcp", file}, "usage: ");
    refused({"http://127.0.0.1:1/mcp", file, "board", "more"}, "usage: ");
    write_scene(file, "{half");
    refused({"http://127.0.0.1:1/mcp", file}, R"(must be JSON with a "content")");
    refused({"http://127.0.0.1:1/mcp", directory.path() + "/none/scene.json"},
            "the directory does not exist");
}
