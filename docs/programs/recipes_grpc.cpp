// SPDX-License-Identifier: MIT
#include <cstdio>

#include <grpcpp/grpcpp.h>

#include <belay/belay.hpp>
#include <belay/drive.hpp>

#include "greeter.grpc.pb.h"  // which protoc makes of your service
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
template <>
struct belay::AnswerTraits<grpc::Status> {  // for all calls that return one
    static Cause failed(const grpc::Status& status) {
        switch (status.error_code()) {
            case grpc::StatusCode::OK:
                return Cause::none;
            case grpc::StatusCode::DEADLINE_EXCEEDED:
                return Cause::timed_out;
            case grpc::StatusCode::RESOURCE_EXHAUSTED:
                return Cause::overloaded;
            case grpc::StatusCode::UNAUTHENTICATED:
                return Cause::unauthorized;
            case grpc::StatusCode::PERMISSION_DENIED:
                return Cause::forbidden;
            case grpc::StatusCode::DATA_LOSS:
                return Cause::corrupt;
            case grpc::StatusCode::ABORTED:
            case grpc::StatusCode::INTERNAL:
            case grpc::StatusCode::UNAVAILABLE:
            case grpc::StatusCode::UNKNOWN:
                return Cause::lost;
            default:  // the request is wrong, and stays so
                return Cause::permanent;
        }
    }
};
// excerpt: end

int main() {
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    // excerpt: begin
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 1s}, StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized, Cause::corrupt},
                        Shared{budget}, AttemptTimeout{5s}, MaxAttempts{4}};
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
    const auto stub = Greeter::NewStub(grpc::CreateCustomChannel("localhost:50051", grpc::InsecureChannelCredentials(), arguments));

    HelloRequest request;
    HelloReply reply;
    int calls = 0;
    const auto say_hello = [&](Attempt attempt) {
        ++calls;
        grpc::ClientContext context;  // a new one for each attempt
        context.set_wait_for_ready(true);
        context.set_deadline(std::chrono::system_clock::now() + elapsed(SteadyClock{}.now(), attempt.deadline));
        return stub->SayHello(&context, request, &reply);
    };
    Pipeline pipeline{Timeout{30s}, Retrying{policy}};
    ThreadSleeper sleeper;
    const auto status = pipeline(sleeper, say_hello);
    // excerpt: end
    std::printf("%s after %d calls\n", status ? "answered" : status.message().c_str(), calls);
}
