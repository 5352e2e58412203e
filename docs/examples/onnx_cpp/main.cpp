// Showers from an ONNX file that hepflows wrote, without Python.
//
//     showers model.onnx 10 50 100                     one shower each of 10, 50 and 100 GeV; layer energies in MeV
//     showers model.onnx 50 pdg=22 theta=0.1           a model with conditions: every one that it asks for
//     showers model.onnx 10 50 --csv showers.csv       and the voxels in MeV, one shower a line
//
// ONNX Runtime 1.15 or newer, C++17.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
    std::vector<float> energies;              // GeV
    std::map<std::string, float> conditions;  // by name, for all showers alike
    std::string csv;
    for (int i = 2; i < argc; ++i) {
        const std::string word = argv[i];
        const auto equals = word.find('=');
        if (word == "--csv" && i + 1 < argc) csv = argv[++i];
        else if (equals != std::string::npos) conditions[word.substr(0, equals)] = std::stof(word.substr(equals + 1));
        else energies.push_back(std::stof(word));
    }
    if (energies.empty()) throw std::invalid_argument("usage: showers model.onnx ENERGY... [name=value...] [--csv FILE]");
    const auto n = static_cast<std::int64_t>(energies.size());

    // One session serves a whole job: its Run may be called again and again, from several threads, too.
    Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "showers");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::Session session(env, argv[1], options);

    // The file says what its numbers mean. Energies outside the range that the model was trained on are extrapolation.
    Ort::AllocatorWithDefaultOptions allocator;
    Ort::ModelMetadata metadata = session.GetModelMetadata();
    for (const char* key : {"model", "units", "energy_range_gev", "species"})
        if (auto value = metadata.LookupCustomMetadataMapAllocated(key, allocator)) std::cerr << key << ": " << value.get() << '\n';

    // Inputs in the order of the file, all of float32: energy (n), noise (n, layers + voxels), then the conditions (n).
    // The noise decides everything: draw it from the generator of your framework, and showers repeat with its seed.
    std::mt19937_64 generator(1);
    std::normal_distribution<float> normal;
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<std::string> names;
    std::vector<std::vector<float>> numbers;
    std::vector<Ort::Value> inputs;
    for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
        names.emplace_back(session.GetInputNameAllocated(i, allocator).get());
        const Ort::TypeInfo type = session.GetInputTypeInfo(i);
        std::vector<std::int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
        shape[0] = n;  // the batch, of any size
        numbers.emplace_back(n * (shape.size() > 1 ? shape[1] : 1));
        if (names[i] == "energy") numbers[i] = energies;
        else if (names[i] == "noise") std::generate(numbers[i].begin(), numbers[i].end(), [&] { return normal(generator); });
        else if (conditions.count(names[i])) std::fill(numbers[i].begin(), numbers[i].end(), conditions[names[i]]);
        else throw std::invalid_argument("the model is conditioned on " + names[i] + ": add " + names[i] + "=VALUE");
        // the tensor borrows the memory: a vector that moves keeps its numbers where they are
        inputs.push_back(Ort::Value::CreateTensor<float>(memory, numbers[i].data(), numbers[i].size(), shape.data(), shape.size()));
    }
    std::vector<const char*> input_names;
    for (const auto& name : names) input_names.push_back(name.c_str());
    const char* output_names[] = {"voxels", "layer_energies"};
    auto outputs = session.Run(Ort::RunOptions{nullptr}, input_names.data(), inputs.data(), inputs.size(), output_names, 2);

    const auto table = [n](Ort::Value& value, std::ostream& out, const std::vector<float>& first, char separator) {
        const std::int64_t width = value.GetTensorTypeAndShapeInfo().GetShape()[1];
        const float* number = value.GetTensorData<float>();
        for (std::int64_t i = 0; i < n; ++i) {
            out << first[i];
            for (std::int64_t j = 0; j < width; ++j) out << separator << number[i * width + j];
            out << '\n';
        }
    };
    std::cout << "energy [GeV], layer energies [MeV]\n";
    table(outputs[1], std::cout, energies, ' ');
    if (!csv.empty()) {
        std::ofstream file(csv);
        table(outputs[0], file, energies, ',');
        if (!file.flush()) throw std::runtime_error(csv + " could not be written");
    }
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 2;
}
