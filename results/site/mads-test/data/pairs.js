segbench.put("pairs",[{"measure":"dice|class:person|over:images|empty:nan","names":["unet-lite0","unet","otsu","grabcut"],"p":[0.02344,0.02344,0.02344,0.02344,0.02344,0.4805]}]);
