// SPDX-License-Identifier: MIT
// A JSON-RPC 2.0 client: questions with ids, whose answers come in any order. Needs nlohmann/json.
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/link/requests.hpp>
#include <belay/posix.hpp>
#include <nlohmann/json.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;
using nlohmann::json;

/// A message that is no JSON is `discarded`, and has no members. The parser would ignore the text
/// after a NUL byte.
json json_of(const Bytes& message) {
    const std::string_view text = as_text(message);
    if (text.find('\0') != std::string_view::npos) return json(json::value_t::discarded);
    return json::parse(text, nullptr, false);
}

/// Writes the id into a request, and reads it from a response. A notification has none.
struct JsonRpc {
    static void put_id(Bytes& message, std::uint64_t id) {
        json request = json_of(message);
        request["id"] = id;
        message = to_bytes(request.dump());
    }
    static std::optional<std::uint64_t> id_of(const Bytes& message) {
        const json response = json_of(message);
        const bool has_id = response.is_object() && !response.contains("method") &&
                            response.contains("id") && response["id"].is_number_unsigned();
        if (!has_id) return std::nullopt;
        return response["id"].get<std::uint64_t>();
    }
};

json request(std::string_view method, json params) {
    return {{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

/// Writes notifications, and answers that came too late.
struct Client {
    void on_message(const Bytes& message) {
        const json notification = json_of(message);
        if (notification.is_object()) std::printf("notified: %s\n", notification.dump().c_str());
    }
    void on_unmatched(const Bytes& message) {
        std::printf("too late: %s\n", json_of(message)["result"].dump().c_str());
    }
};

/// The result, or why there is none: the server's error, or the connection's.
std::string result_of(const Result<Bytes, Failure>& answer) {
    if (!answer) return answer.error().message();
    const json response = json_of(*answer);
    return response.contains("error") ? "error " + response["error"]["message"].dump()
                                      : response["result"].dump();
}

Task<bool> call(auto& rpc, std::string method, json params, Duration within) {
    const auto answer = co_await rpc.ask(request(method, params).dump(), within);
    std::printf("%s%s = %s\n", method.c_str(), params.dump().c_str(), result_of(answer).c_str());
    co_return answer.has_value();
}

/// The server, usually another program: it collects requests, and answers the last one first.
struct Server {
    std::vector<json> requests{};

    void on_message(auto& link, const Bytes& message) {
        requests.push_back(json_of(message));
        if (requests.back()["method"] != "sum") return;
        static_cast<void>(link.send(request("progress", {requests.size()}).dump()));
        for (; !requests.empty(); requests.pop_back()) {
            static_cast<void>(link.send(answer(requests.back()).dump()));
        }
    }
    static json answer(const json& request) {
        json response{{"jsonrpc", "2.0"}, {"id", request["id"]}};
        const json& params = request["params"];
        if (request["method"] == "sum") {
            response["result"] = params[0].get<int>() + params[1].get<int>();
        } else if (request["method"] == "echo") {
            response["result"] = params;
        } else {
            response["error"] = {{"code", -32601}, {"message", "method not found"}};
        }
        return response;
    }
};

int main() {
    posix::Loop loop;
    std::optional<Supervisor<posix::Accepted<>, MaxAttempts, Server>> served;
    posix::Listener listener{loop, [&](posix::Accepted<> accepted) {
                                 served.emplace(std::move(accepted), MaxAttempts{1}, Server{});
                                 loop.attach(*served);
                                 served->start();
                             }};
    if (listener.listen({"127.0.0.1", 0})) return 1;

    Requests rpc{posix::Tcp{loop, {"127.0.0.1", listener.port()}, LengthPrefixed{}},
                 Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{10s}}, JsonRpc{},
                 Client{}};
    loop.attach(rpc);
    rpc.start();
    Task<bool> late = call(rpc, "echo", {"tea"}, 50ms);
    late.start();
    if (!loop.run_until([&] { return late.done(); }, 10s)) return 1;
    Task<bool> first = call(rpc, "echo", {"milk"}, 5s);
    Task<bool> unknown = call(rpc, "divide", {1, 0}, 5s);
    Task<bool> last = call(rpc, "sum", {1, 2}, 5s);  // the server answers this one first
    first.start(), unknown.start(), last.start();
    const auto done = [&] { return rpc.status().answered == 3 && rpc.status().unmatched == 1; };
    return loop.run_until(done, 10s) ? 0 : 1;
}
