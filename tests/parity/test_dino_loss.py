import torch
from networks import assert_close

from dino.objective.center import Center
from dino.objective.dino_loss import dino_loss
from dino.objective.teacher_distribution import teacher_distribution
from dino.optim.schedules import teacher_temperature_schedule


def test_loss_gradient_and_center_are_the_references(golden):
    file = golden("dino_loss")
    for i in range(int(file["n_settings"])):
        setting = f"s{i}"
        temperature = teacher_temperature_schedule(
            float(file[f"{setting}/warmup_teacher_temp"]),
            float(file[f"{setting}/teacher_temp"]),
            int(file[f"{setting}/warmup_teacher_temp_epochs"]),
            int(file[f"{setting}/nepochs"]),
        )[int(file[f"{setting}/epoch"])]
        center = Center(int(file[f"{setting}/out_dim"]), float(file[f"{setting}/center_momentum"]))
        center.value.copy_(torch.from_numpy(file[f"{setting}/c0/center_before"]))
        for call in range(int(file["n_calls"])):
            arrays = f"{setting}/c{call}"
            student = torch.from_numpy(file[f"{arrays}/student_out"]).requires_grad_()
            teacher = torch.from_numpy(file[f"{arrays}/teacher_out"])
            assert_close(center.value, file[f"{arrays}/center_before"], atol=1e-6)
            probabilities = teacher_distribution(teacher, center.value, float(temperature))
            result = dino_loss(student, probabilities, float(file[f"{setting}/student_temp"]))
            center.update(teacher)
            result.loss.backward()
            assert_close(result.loss, file[f"{arrays}/loss"], atol=0, rtol=1e-5)
            assert_close(student.grad, file[f"{arrays}/grad_student"], atol=1e-7, rtol=1e-4)
            assert_close(center.value, file[f"{arrays}/center_after"], atol=1e-6)
