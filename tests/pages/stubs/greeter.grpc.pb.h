// SPDX-License-Identifier: MIT
// The shape of what protoc makes of a service: the first two calls fail. Each needs a deadline, and waits for a connection.
#pragma once

#include <memory>

#include <grpcpp/grpcpp.h>

struct HelloRequest {};
struct HelloReply {};

class Greeter {
public:
    class Stub {
    public:
        grpc::Status SayHello(grpc::ClientContext* context, const HelloRequest&, HelloReply*) {
            const auto left = context->deadline() - std::chrono::system_clock::now();
            if (left <= std::chrono::seconds{0} || left > std::chrono::seconds{5} ||
                !context->waits_for_ready()) {
                return {grpc::StatusCode::INVALID_ARGUMENT, "no deadline, or no wait"};
            }
            return ++calls_ < 3 ? grpc::Status{grpc::StatusCode::UNAVAILABLE, "away"}
                                : grpc::Status{};
        }

    private:
        int calls_ = 0;
    };
    static std::unique_ptr<Stub> NewStub(const std::shared_ptr<grpc::Channel>&) {
        return std::make_unique<Stub>();
    }
};
